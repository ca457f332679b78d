import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { api, client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Dialog } from "../../parts/Dialog";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Time } from "../../parts/Time";
import { useUrlState } from "../../parts/useUrlState";
import { useMe } from "../../shell/session";
import styles from "./QueuePage.module.css";
import { kindName } from "./shares";

type QueuedItem = Schema["QueuedItem"];
const STATES = ["open", "leased", "flagged", "skipped", "closed", "all"] as const;

/** Items by their place in the queue, with what was done to each. */
export function ItemsTable() {
  const [state, setState] = useUrlState("state", "open");
  const [kind, setKind] = useUrlState("only");
  const [shown, setShown] = useState<QueuedItem | null>(null);
  const query = {
    state: STATES.find((one) => one === state) ?? "open",
    kind: kind === "unit" || kind === "pair" ? kind : undefined,
    limit: 200,
  } as const;
  const items = api.useQuery("get", "/api/review/items", { params: { query } });
  const columns: Column<QueuedItem>[] = [
    {
      key: "item",
      head: "Item",
      width: "7rem",
      cell: (item) => <span className="mono">{shortId(item.item_id)}</span>,
    },
    { key: "kind", head: "What", width: "7rem", cell: (item) => kindName(item.kind) },
    { key: "theme", head: "Theme", cell: (item) => item.theme || <span className="soft">none</span> },
    { key: "category", head: "Category", cell: (item) => item.category?.replaceAll("_", " ") ?? "" },
    {
      key: "done",
      head: "Judged",
      width: "6rem",
      align: "end",
      cell: (item) => `${item.done} of ${item.needed}`,
    },
    { key: "leased", head: "Held", width: "4.5rem", align: "end", cell: (item) => item.leased || "" },
    { key: "skips", head: "Skips", width: "4.5rem", align: "end", cell: (item) => item.skips || "" },
    {
      key: "flags",
      head: "Flags",
      width: "5rem",
      align: "end",
      cell: (item) => (item.flags ? <Chip tone="warn">⚑ {item.flags}</Chip> : ""),
    },
    { key: "closed", head: "Closed", width: "7rem", cell: (item) => item.closed_because ?? "" },
    { key: "since", head: "Queued", width: "8.5rem", cell: (item) => <Time at={item.created_at} /> },
  ];
  return (
    <>
      <div className={styles.filters}>
        <label>
          State{" "}
          <select value={query.state} onChange={(event) => setState(event.target.value)}>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one === "leased" ? "held now" : one}
              </option>
            ))}
          </select>
        </label>
        <label>
          What{" "}
          <select value={query.kind ?? ""} onChange={(event) => setKind(event.target.value)}>
            <option value="">all</option>
            <option value="pair">two answers</option>
            <option value="unit">whole paths</option>
          </select>
        </label>
      </div>
      {items.error && <Failed error={items.error} retry={() => void items.refetch()} />}
      {items.isPending && <Loading what="items" />}
      {items.data?.items.length === 0 && <Empty title="No matching items" />}
      {items.data && items.data.items.length > 0 && (
        <DataTable
          label="Items of the queue"
          columns={columns}
          rows={items.data.items}
          rowKey={(item) => item.item_id}
          onOpen={setShown}
        />
      )}
      {shown && <ItemDialog item={shown} onClose={() => setShown(null)} />}
    </>
  );
}

function ItemDialog({ item, onClose }: { item: QueuedItem; onClose: () => void }) {
  const judges = useMe()?.role !== "viewer";
  const queries = useQueryClient();
  const acts = api.useQuery("get", "/api/review/items/{id}/acts", { params: { path: { id: item.item_id } } });
  const again = useMutation({
    mutationFn: () =>
      client.POST("/api/review/items/{id}/requeue", {
        params: { path: { id: item.item_id } },
        body: { more: 1, note: "" },
      }),
    onSuccess: () =>
      queries.invalidateQueries({ predicate: ({ queryKey }) => `${queryKey[1]}`.includes("/review/") }),
  });
  return (
    <Dialog
      title={`Item ${shortId(item.item_id)}: ${kindName(item.kind)}`}
      open
      onClose={onClose}
      actions={
        judges && (
          <Button busy={again.isPending} onClick={() => again.mutate()}>
            Ask one more person
          </Button>
        )
      }
    >
      <p>
        <Link href={`/sessions/${item.session_id}${item.kind === "unit" ? `?node=${item.subject_id}` : ""}`}>
          Its conversation
        </Link>{" "}
        <span className="soft">names models, so look at it after you judged the item.</span>
      </p>
      {again.error && <p role="alert">{sentence(again.error)}</p>}
      <ol className={styles.acts}>
        {acts.data?.acts.map((act, index) => (
          <li key={index}>
            <Time at={act.at} /> <b>{act.reviewer}</b> {act.act}
            {act.undone && " (taken back)"}{" "}
            {[act.reason?.replaceAll("_", " "), act.note].filter(Boolean).join(": ")}
          </li>
        ))}
      </ol>
      {acts.data?.acts.length === 0 && <p className="soft">It has no history yet.</p>}
    </Dialog>
  );
}
