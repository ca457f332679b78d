import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { useLocation } from "wouter";
import { client, type Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, counted, figure } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { useNarrow } from "../../parts/useNarrow";
import { useUrlState } from "../../parts/useUrlState";
import styles from "./Rows.module.css";

type Row = Schema["SnapshotRow"];

const PAGE = 100;
const QUIET = 300; // milliseconds without a key before a text is searched

const COLUMNS: readonly Column<Row>[] = [
  { key: "asked", head: "Asked", cell: (row) => row.asked || <span className="soft">–</span> },
  { key: "answer", head: "Learned last", cell: (row) => row.answer || <span className="soft">–</span> },
  {
    key: "split",
    head: "Split",
    width: "7.5rem",
    cell: (row) => (
      <>
        <Chip>{row.split}</Chip>{" "}
        {row.label && (
          <Chip tone={row.label === "true" || row.label === "retain" ? "good" : "bad"}>{row.label}</Chip>
        )}
      </>
    ),
  },
  {
    key: "stratum",
    head: "Stratum",
    width: "10rem",
    cell: (row) => row.stratum || <span className="soft">none</span>,
  },
  { key: "by", head: "Decided by", width: "7rem", cell: (row) => row.label_source || "none" },
  { key: "score", head: "Score", width: "4.5rem", align: "end", cell: (row) => figure(row.score) },
  { key: "messages", head: "Messages", width: "5.5rem", align: "end", cell: (row) => count(row.messages) },
];
const NARROW = COLUMNS.filter((column) => ["asked", "answer", "score"].includes(column.key));

/** The rows of a dataset: searched, narrowed down, opened. */
export function Rows({ snapshot }: { snapshot: Schema["SnapshotDetail"] }) {
  const [, go] = useLocation();
  const narrow = useNarrow();
  const [split, setSplit] = useUrlState("split");
  const [stratum, setStratum] = useUrlState("stratum");
  const [by, setBy] = useUrlState("by");
  const [text, setText] = useUrlState("q");
  const [typed, setTyped] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setText(typed.trim()), QUIET);
    return () => clearTimeout(timer);
  }, [typed, setText]);
  const id = snapshot.snapshot_id;
  const filter = {
    ...(split && { split }),
    ...(stratum && { stratum }),
    ...(by && { label_source: by }),
    ...(text && { text }),
  };
  const list = useInfiniteQuery({
    queryKey: ["snapshot-rows", id, filter],
    initialPageParam: 0,
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/snapshots/{id}/rows", {
        params: { path: { id }, query: { ...filter, limit: PAGE, after: pageParam } },
        signal,
      });
      if (!data) throw new Error("The server sent nothing.");
      return data;
    },
    getNextPageParam: (page) => page.next,
  });
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.rows) ?? [], [list.data]);
  const pages = list.data?.pages ?? [];
  const of = pages[0]?.of ?? 0;
  const looked = pages.reduce((sum, page) => sum + page.looked_at, 0);
  const narrowed = Object.keys(filter).length > 0;
  // A page may hold none of the rows that are wanted, and not be the last.
  const goesOn = list.hasNextPage && !list.isFetching && rows.length < PAGE && pages.length < 100;
  useEffect(() => {
    if (goesOn) void list.fetchNextPage();
  }, [goesOn, list.fetchNextPage]);

  return (
    <div className={styles.rows}>
      <div className={styles.bar}>
        <input
          type="search"
          className={styles.search}
          aria-label="Search rows"
          placeholder="Words, or a prefix of the id of a row, node or session"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <Choice label="Split" value={split} onChange={setSplit} names={Object.keys(snapshot.row_counts)} />
        <Choice label="Stratum" value={stratum} onChange={setStratum} names={names(snapshot.report.strata)} />
        <Choice label="Decided by" value={by} onChange={setBy} names={names(snapshot.report.labels)} />
        <span className={styles.found} aria-live="polite">
          {narrowed
            ? `${counted(rows.length, "row")} in ${count(looked)} of ${count(of)}`
            : counted(of, "row")}
        </span>
        <ExportButtons name={id} columns={EXPORTED} rows={() => rows.map(exported)} />
      </div>
      {list.error ? (
        <Failed error={list.error} retry={() => void list.refetch()} />
      ) : list.isPending || (rows.length === 0 && list.hasNextPage) ? (
        <Loading what="rows" />
      ) : rows.length === 0 ? (
        <Empty title="No matching rows">Remove a filter, or search for other words.</Empty>
      ) : (
        <DataTable
          label="Rows"
          columns={narrow ? NARROW : COLUMNS}
          rows={rows}
          rowKey={(row) => row.row_id}
          onOpen={(row) => go(`/datasets/${id}/rows/${row.row_id}`)}
          loadMore={
            list.hasNextPage ? () => !list.isFetchingNextPage && void list.fetchNextPage() : undefined
          }
          total={narrowed ? undefined : of + 1}
          minWidth={narrow ? "0" : "58rem"}
          fill
        />
      )}
    </div>
  );
}

type ChoiceProps = {
  label: string;
  value: string;
  names: readonly string[];
  onChange: (value: string) => void;
};

function Choice({ label, value, names, onChange }: ChoiceProps) {
  if (names.length < 2 && !value) return null;
  return (
    <select aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>
      <option value="">{label}: any</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

/** The names that counts are by; the empty one cannot be asked for. */
function names(counts: unknown): string[] {
  return Object.keys((counts ?? {}) as Record<string, number>)
    .map((name) => name.replace(" (uncalibrated)", ""))
    .filter((name, index, all) => name && all.indexOf(name) === index)
    .sort();
}

const EXPORTED = [
  "row_id",
  "split",
  "label",
  "stratum",
  "label_source",
  "score",
  "margin",
  "session_id",
  "asked",
  "answer",
];

function exported(row: Row) {
  return Object.fromEntries(EXPORTED.map((name) => [name, row[name as keyof Row] as string | number | null]));
}
