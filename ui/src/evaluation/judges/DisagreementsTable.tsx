import { useMutation } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, client, type Schema } from "../../api/client";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { type Column, DataTable } from "../../parts/DataTable";
import { ExportButtons } from "../../parts/ExportButtons";
import { counted, shortId } from "../../parts/format";
import { Time } from "../../parts/Time";
import { useMe } from "../../shell/session";
import { decidesOf } from "./judges";
import styles from "./judges.module.css";

type Row = Schema["Disagreement"];

/** Items on which a judge and people differ: look at them, and let people judge them again. */
export function DisagreementsTable({ judge }: { judge: string }) {
  const judges = useMe()?.role !== "viewer";
  const found = api.useQuery("get", "/api/judges/disagreements", {
    params: { query: { judge, limit: 200 } },
  });
  const send = useMutation({
    mutationFn: async (rows: readonly Row[]) =>
      (await client.POST("/api/review/items", { body: requestOf(rows) })).data,
  });
  const rows = found.data?.disagreements ?? [];
  if (rows.length === 0) return <p className="soft">It agrees with people on every item.</p>;
  const columns: Column<Row>[] = [
    {
      key: "node",
      head: "Where",
      width: "13rem",
      cell: (row) => (
        <span className="mono">
          <Link href={`/nodes/${row.node_id}`}>{shortId(row.node_id)}</Link>
          {row.other_node_id && (
            <>
              {" / "}
              <Link href={`/nodes/${row.other_node_id}`}>{shortId(row.other_node_id)}</Link>
            </>
          )}
        </span>
      ),
    },
    { key: "decides", head: "On", cell: (row) => decidesOf(row.task, row.category) },
    { key: "theme", head: "Theme", cell: (row) => row.theme },
    { key: "people", head: "People", width: "7rem", cell: (row) => row.people.replace("_", " ") },
    { key: "said", head: "Judge", width: "7rem", cell: (row) => row.said.replace("_", " ") },
    { key: "at", head: "When", width: "8.5rem", cell: (row) => <Time at={row.judged_at} /> },
    {
      key: "send",
      head: <span className="visually-hidden">Send to review</span>,
      name: "Send to review",
      width: "10rem",
      cell: (row) => judges && <Button onClick={() => send.mutate([row])}>Send to review</Button>,
    },
  ];
  return (
    <>
      <div className={styles.tools}>
        {judges && (
          <Button busy={send.isPending} onClick={() => send.mutate(rows)}>
            Send all {rows.length} to review
          </Button>
        )}
        <ExportButtons
          name={`disagreements-${judge}`}
          columns={[
            "judge",
            "task",
            "category",
            "theme",
            "node_id",
            "other_node_id",
            "people",
            "said",
            "judged_at",
          ]}
          rows={() => rows}
        />
        <span role="status">
          {send.data &&
            `${counted(send.data.queued, "item")} queued first, ${send.data.again} asked for again${send.data.unknown ? `, ${send.data.unknown} not found` : ""}.`}
        </span>
        {send.error && <span role="alert">{sentence(send.error)}</span>}
      </div>
      <DataTable
        label="Disagreements"
        columns={columns}
        rows={rows}
        rowKey={(row) =>
          `${row.node_id} ${row.other_node_id} ${row.task} ${row.category} ${row.judge_version}`
        }
      />
    </>
  );
}

function requestOf(rows: readonly Row[]): Schema["QueueRequest"] {
  const nodes = rows.filter((row) => row.other_node_id === null).map((row) => row.node_id);
  const pairs = rows.flatMap(({ node_id, other_node_id }) =>
    other_node_id ? [{ node_id, other_node_id }] : [],
  );
  return { nodes: [...new Set(nodes)], pairs, reviewers: 1 };
}
