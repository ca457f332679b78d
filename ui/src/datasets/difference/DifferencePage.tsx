import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { client, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { CopyLink } from "../../parts/CopyLink";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { Tabs } from "../../parts/Tabs";
import { useUrlState } from "../../parts/useUrlState";
import type { PageProps } from "../../shell/page";
import { JobProgress } from "../JobProgress";
import { Stack } from "../Stack";
import styles from "./DifferencePage.module.css";
import { DifferentRow } from "./DifferentRow";

type Sort = Schema["SnapshotDifference"]["sort"];

const SORTS: readonly { key: Sort; label: string; about: string; colour: string }[] = [
  {
    key: "changed",
    label: "Changed",
    about: "The row is in both, with different content.",
    colour: "--hue-5",
  },
  { key: "added", label: "Only in the second", about: "The row is new.", colour: "--good" },
  { key: "removed", label: "Only in the first", about: "The row is gone.", colour: "--bad" },
  { key: "moved", label: "Other split", about: "The row is in another split.", colour: "--hue-4" },
  {
    key: "recertified",
    label: "Other figures",
    about: "The content is the same; the label source, score or session differs.",
    colour: "--hue-2",
  },
];

/** What differs between two datasets, row by row. */
export default function DifferencePage({ params }: PageProps) {
  const a = params.a ?? "";
  const b = params.b ?? "";
  const [chosen, setSort] = useUrlState("sort", "changed");
  const sort = SORTS.find((one) => one.key === chosen)?.key ?? "changed";
  const list = useInfiniteQuery({
    queryKey: ["snapshot-difference", a, b, sort],
    initialPageParam: 0,
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/snapshots/{id}/diff/{other}", {
        params: { path: { id: a, other: b }, query: { sort, after: pageParam, limit: 50 } },
        signal,
      });
      if (!data) throw new Error("The server sent nothing.");
      return data;
    },
    getNextPageParam: (page) => page.next,
    refetchInterval: (query) => {
      const job = query.state.data?.pages[0]?.job;
      return job && job.state !== "failed" ? 500 : false;
    },
  });
  const first = list.data?.pages[0];
  const failed = first?.job?.state === "failed" ? first.job.error : "";
  const rows = list.data?.pages.flatMap((page) => page.rows) ?? [];
  return (
    <Page
      title="Difference of two datasets"
      crumbs={[{ label: "Datasets", href: "/datasets" }]}
      actions={<CopyLink />}
      about={
        <>
          from <Link href={`/datasets/${a}`}>{a}</Link> to <Link href={`/datasets/${b}`}>{b}</Link>{" "}
          <Link href={`/datasets/diff/${b}/${a}`}>(the other way)</Link>
        </>
      }
    >
      {list.error ? (
        <Failed error={list.error} retry={() => void list.refetch()} />
      ) : failed ? (
        <Empty title="These cannot be compared">{failed}</Empty>
      ) : first?.job ? (
        <JobProgress job={first.job} />
      ) : !first?.counts ? (
        <Loading what="difference" />
      ) : (
        <>
          <Stack
            label="Rows"
            pieces={[
              { label: "the same", value: first.counts.same ?? 0, colour: "--line-strong" },
              ...SORTS.map((one) => ({
                label: one.label.toLowerCase(),
                value: first.counts?.[one.key] ?? 0,
                colour: one.colour,
              })),
            ]}
          />
          <Tabs
            label="Sorts of differences"
            selected={sort}
            onSelect={(key) => setSort(key, { push: true })}
            tabs={SORTS.map((one) => ({
              key: one.key,
              label: `${one.label} (${count(first.counts?.[one.key] ?? 0)})`,
              content: one.key === sort && (
                <div className={styles.rows}>
                  <p className="soft">{one.about}</p>
                  {rows.length === 0 && <Empty title="No rows of this kind" />}
                  <ul>
                    {rows.map((row) => (
                      <DifferentRow key={row.row_id} row={row} a={a} b={b} />
                    ))}
                  </ul>
                  {list.hasNextPage && (
                    <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
                      More rows
                    </Button>
                  )}
                  {!list.hasNextPage && first.named < (first.counts?.[one.key] ?? 0) && (
                    <p className="soft">Only the first {count(first.named)} are named.</p>
                  )}
                </div>
              ),
            }))}
          />
        </>
      )}
    </Page>
  );
}
