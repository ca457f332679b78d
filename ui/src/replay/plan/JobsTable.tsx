import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { client, type Schema } from "../../api/client";
import { Chip, type Tone } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, duration, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { useNarrow } from "../../parts/useNarrow";
import styles from "./plan.module.css";

type Job = Schema["Job"];

const TONES: Readonly<Record<string, Tone>> = {
  done: "good",
  failed: "bad",
  running: "info",
  skipped: "accent",
};
const STATES: Readonly<Record<string, string>> = { planned: "waiting", skipped: "answered before" };
const EXPORTED = [
  ...["number", "node_id", "variant", "sample", "model", "state", "turn_id", "failure", "prompt_tokens"],
  ...["completion_tokens", "started_at", "ended_at"],
];

const FEW = 14; // rows that are shown without a scroll of their own
const NARROW = new Set(["state", "node", "variant", "failure"]);

/** The calls of a plan, in their order. */
export function JobsTable({ plan, alive }: { plan: Schema["Plan"]; alive: boolean }) {
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["replay jobs", plan.plan_id],
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: 500, ...(pageParam === null ? {} : { after: pageParam }) };
      const params = { path: { id: plan.plan_id }, query };
      const { data: page } = await client.GET("/api/replays/{id}", { params, signal });
      return { jobs: page?.job_records ?? [], next: page?.next ?? null };
    },
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: alive ? 2_000 : false,
  });
  const narrow = useNarrow();
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="calls" />;
  const rows = data.pages.flatMap((page) => page.jobs);
  const words = new Map<number, string>(plan.variants.map((one) => [one.variant_index, one.words]));
  const all = columns(words).filter((column) => column.key !== "failure" || plan.failed > 0);
  const many = rows.length > FEW;
  return (
    <div className={styles.jobs}>
      <div className={styles.exports}>
        <ExportButtons
          name={`replay-${shortId(plan.plan_id)}`}
          columns={EXPORTED}
          rows={() => rows.map((row) => ({ ...row, variant: words.get(row.variant_index) ?? "" }))}
        />
      </div>
      <div className={many ? styles.tall : undefined}>
        <DataTable
          label="Calls"
          columns={narrow ? all.filter((column) => NARROW.has(column.key)) : all}
          rows={rows}
          rowKey={(row) => String(row.number)}
          total={plan.jobs}
          {...(hasNextPage && !isFetchingNextPage ? { loadMore: () => void fetchNextPage() } : {})}
          fill={many}
        />
      </div>
    </div>
  );
}

function columns(words: ReadonlyMap<number, string>): readonly Column<Job>[] {
  return [
    { key: "number", head: "#", width: "4.5rem", align: "end", cell: (row) => count(row.number + 1) },
    {
      key: "state",
      head: "State",
      width: "8.5rem",
      cell: (row) => <Chip tone={TONES[row.state] ?? "plain"}>{STATES[row.state] ?? row.state}</Chip>,
    },
    {
      key: "node",
      head: "Context",
      width: "7rem",
      cell: (row) => (
        <Link href={`/compare/${row.node_id}`} className="mono">
          {shortId(row.node_id)}
        </Link>
      ),
    },
    {
      key: "variant",
      head: "Variant",
      cell: (row) => <span title={words.get(row.variant_index)}>{words.get(row.variant_index)}</span>,
    },
    { key: "sample", head: "Sample", width: "5rem", align: "end", cell: (row) => count(row.sample + 1) },
    { key: "model", head: "Model", width: "9rem", cell: (row) => row.model },
    {
      key: "tokens",
      head: "Tokens",
      width: "7rem",
      align: "end",
      cell: (row) => count(row.prompt_tokens + row.completion_tokens),
    },
    {
      key: "time",
      head: "Time",
      width: "6rem",
      align: "end",
      cell: (row) =>
        duration(
          row.started_at && row.ended_at ? Date.parse(row.ended_at) - Date.parse(row.started_at) : null,
        ),
    },
    { key: "failure", head: "Failure", cell: (row) => <span title={row.failure ?? ""}>{row.failure}</span> },
  ];
}
