import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { client, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { type Column, DataTable } from "../../parts/DataTable";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { counted, figure, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { useNarrow } from "../../parts/useNarrow";
import { useUrlState } from "../../parts/useUrlState";
import { useMe } from "../../shell/session";
import { Rate } from "../map/ClusterList";
import { QueueDialog } from "../map/QueueDialog";
import styles from "./cluster.module.css";

type Path = Schema["PathInCluster"];

const PAGE = 200;
const COLUMNS: readonly Column<Path>[] = [
  { key: "asked", head: "Asked last", cell: (row) => <span dir="auto">{row.asked}</span> },
  { key: "answer", head: "Answer", cell: (row) => <span dir="auto">{row.answer_text}</span> },
  { key: "model", head: "Model", width: "8rem", cell: (row) => row.model },
  { key: "turns", head: "Turns", width: "4.5rem", align: "end", cell: (row) => row.turns },
  {
    key: "outcome",
    head: "Outcome",
    width: "6rem",
    align: "end",
    cell: (row) => <Rate value={row.outcome} of={1} />,
  },
  { key: "quality", head: "Quality", width: "5rem", align: "end", cell: (row) => figure(row.quality) },
  {
    key: "strength",
    head: "Typical",
    width: "5rem",
    align: "end",
    cell: (row) => <span title="cosine to the middle of the cluster">{figure(row.strength)}</span>,
  },
  { key: "id", head: "Path", width: "6rem", cell: (row) => <code>{shortId(row.unit_id)}</code> },
];
const NARROW = ["asked", "outcome"];

async function pageOf(id: string, worst: boolean, start: number, signal?: AbortSignal) {
  const query = { limit: PAGE, start, worst };
  const { data } = await client.GET("/api/clusters/{id}/units", { params: { path: { id }, query }, signal });
  if (!data) throw new Error("The server sent nothing.");
  return data;
}

/** Every path of a cluster. */
export function ClusterPaths({ id, units }: { id: string; units: number }) {
  const [, go] = useLocation();
  const [order, setOrder] = useUrlState("order", "typical");
  const [sending, setSending] = useState<string[]>();
  const narrow = useNarrow();
  const reviews = useMe()?.role !== "viewer";
  const worst = order === "worst";
  const list = useInfiniteQuery({
    queryKey: ["cluster", id, worst],
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) => pageOf(id, worst, pageParam, signal),
    getNextPageParam: (page) => page.next,
  });
  const rows = list.data?.pages.flatMap((page) => page.units) ?? [];
  const everyRow = async () => {
    const found: Path[] = [];
    let start: number | null = 0;
    while (start !== null) {
      const page: Schema["ClusterUnits"] = await pageOf(id, worst, start);
      found.push(...page.units);
      start = page.next;
    }
    return found;
  };
  return (
    <section className={styles.paths}>
      <div className={styles.pathsHead}>
        <h2>{counted(units, "path")}</h2>
        <label>
          <span className="visually-hidden">Order</span>
          <select value={worst ? "worst" : "typical"} onChange={(event) => setOrder(event.target.value)}>
            <option value="typical">Most typical first</option>
            <option value="worst">Worst outcome first</option>
          </select>
        </label>
        <span className={styles.actions}>
          {reviews && (
            <Button
              icon="review"
              onClick={() => void everyRow().then((found) => setSending(found.map((one) => one.unit_id)))}
            >
              Send to review
            </Button>
          )}
          <ExportButtons name="paths" columns={EXPORTED} rows={everyRow} />
        </span>
      </div>
      {list.error ? (
        <Failed error={list.error} retry={() => void list.refetch()} />
      ) : list.isPending ? (
        <Loading what="paths" />
      ) : (
        <div className={styles.table}>
          <DataTable
            label="Paths of the cluster"
            columns={narrow ? COLUMNS.filter((one) => NARROW.includes(one.key)) : COLUMNS}
            rows={rows}
            rowKey={(row) => row.unit_id}
            onOpen={(row) => go(`/nodes/${row.unit_id}`)}
            loadMore={
              list.hasNextPage ? () => !list.isFetchingNextPage && void list.fetchNextPage() : undefined
            }
            minWidth={narrow ? "0" : "60rem"}
            ahead={100}
            fill
          />
        </div>
      )}
      {sending && <QueueDialog units={sending} onClose={() => setSending(undefined)} />}
    </section>
  );
}

const EXPORTED = [
  ...[
    "unit_id",
    "session_id",
    "asked",
    "answer_text",
    "model",
    "theme",
    "turns",
    "outcome",
    "quality",
    "strength",
  ],
];
