import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";
import { client, type Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { useNarrow } from "../../parts/useNarrow";
import { useIsAdmin } from "../../shell/session";
import { JobsBar } from "../plan/JobsBar";
import { counts, isAlive, standing } from "../plan/state";
import styles from "./list.module.css";

type Listed = Schema["ListedPlan"];

const COLUMNS: readonly Column<Listed>[] = [
  {
    key: "name",
    head: "Plan",
    cell: (row) => <Link href={`/replays/${row.plan_id}`}>{row.name || changesOf(row)}</Link>,
  },
  { key: "variants", head: "Variants", width: "5.5rem", align: "end", cell: (row) => count(row.variants) },
  {
    key: "state",
    head: "State",
    width: "10rem",
    cell: (row) => {
      const { label, tone } = standing(row);
      return <Chip tone={tone}>{label}</Chip>;
    },
  },
  { key: "progress", head: "Calls", width: "11rem", cell: (row) => <JobsBar {...counts(row)} /> },
  { key: "nodes", head: "Contexts", width: "5.5rem", align: "end", cell: (row) => count(row.nodes) },
  {
    key: "tokens",
    head: "Tokens",
    width: "6rem",
    align: "end",
    cell: (row) => count(row.prompt_tokens + row.completion_tokens),
  },
  { key: "created", head: "Asked for", width: "8.5rem", cell: (row) => <Time at={row.created_at} /> },
];
const NARROW = new Set(["name", "state", "progress"]);
const EXPORTED = [
  ...[
    "plan_id",
    "name",
    "state",
    "stopped",
    "jobs",
    "nodes",
    "done",
    "skipped",
    "failed",
    "planned",
    "running",
  ],
  ...["prompt_tokens", "completion_tokens", "created_at", "started_at", "ended_at"],
];

/** What a plan without a name is called: what it changes. */
function changesOf({ changes, variants, plan_id }: Listed): string {
  const words = changes.filter(Boolean).join(" · ");
  if (!words) return shortId(plan_id);
  return variants > changes.length ? `${words} and ${variants - changes.length} more` : words;
}

/** Plans of replays, the latest first. */
export default function ReplaysPage() {
  const [, go] = useLocation();
  const admin = useIsAdmin();
  const narrow = useNarrow();
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["replays"],
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: 100, ...(pageParam ? { before: pageParam } : {}) };
      const { data: page } = await client.GET("/api/replays", { params: { query }, signal });
      return page ?? { replays: [], next: null };
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    refetchInterval: (query) =>
      query.state.data?.pages.some((page) => page.replays.some(isAlive)) ? 2_000 : 20_000,
  });
  const rows = data?.pages.flatMap((page) => page.replays);
  return (
    <Page
      title="Replays"
      about="Contexts that were asked again under other conditions"
      full
      actions={
        <>
          {rows && rows.length > 0 && (
            <ExportButtons name="replays" columns={EXPORTED} rows={() => rows.map((row) => ({ ...row }))} />
          )}
          {admin && (
            <Link className={styles.primary} href="/replay">
              New replay
            </Link>
          )}
        </>
      }
    >
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !rows ? (
        <Loading what="replays" />
      ) : rows.length === 0 ? (
        <Empty title="Nothing was replayed yet">
          <p>Open a session, choose a turn, and replay from there; or take the heaviest pivots:</p>
          <p>
            <Link href="/replay?pivot=1">Replay pivots</Link>
          </p>
          <pre>
            <code>regraft replay NODE --temperature 0.2 --temperature 1.0 --samples 3</code>
          </pre>
        </Empty>
      ) : (
        <div className={styles.table}>
          <DataTable
            label="Replays"
            columns={narrow ? COLUMNS.filter((column) => NARROW.has(column.key)) : COLUMNS}
            rows={rows}
            rowKey={(row) => row.plan_id}
            onOpen={(row) => go(`/replays/${row.plan_id}`)}
            {...(hasNextPage && !isFetchingNextPage ? { loadMore: () => void fetchNextPage() } : {})}
            fill
          />
        </div>
      )}
    </Page>
  );
}
