import { api, type Schema } from "../../api/client";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, figure, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Interval } from "../figures/Interval";
import { signed } from "../figures/number";
import styles from "./QueuePage.module.css";

type Row = Schema["ReviewerReport"];

/** What each reviewer did, how right on gold items, and how far they agree with the others. */
export function ReviewersTable() {
  const found = api.useQuery("get", "/api/review/reviewers");
  if (found.error) return <Failed error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading what="reviewers" />;
  if (found.data.reviewers.length === 0) return <Empty title="No item was judged yet" />;
  const columns: Column<Row>[] = [
    { key: "reviewer", head: "Reviewer", cell: (row) => <b>{row.reviewer}</b> },
    { key: "labels", head: "Labels", width: "5rem", align: "end", cell: (row) => count(row.labels) },
    { key: "skipped", head: "Skipped", width: "5rem", align: "end", cell: (row) => row.skipped },
    { key: "undone", head: "Undone", width: "5rem", align: "end", cell: (row) => row.undone },
    { key: "expired", head: "Ran out", width: "5rem", align: "end", cell: (row) => row.expired },
    {
      key: "seconds",
      head: "Median s",
      width: "6rem",
      align: "end",
      cell: (row) => figure(row.median_seconds, 1),
    },
    {
      key: "first",
      head: "For A",
      name: "Share of preferences for the answer shown first",
      width: "7rem",
      align: "end",
      cell: (row) => (
        <span title="Near 50 % for a reviewer who judges the content">
          {percent(row.first_share)} <small className="soft">n {row.preferred}</small>
        </span>
      ),
    },
    {
      key: "gold",
      head: "Right on gold, 95 %",
      width: "11.5rem",
      cell: (row) =>
        row.gold ? (
          <Interval
            value={row.gold_right / row.gold}
            low={row.gold_low}
            high={row.gold_high}
            n={row.gold}
            from={0}
          />
        ) : (
          <span className="soft">none answered</span>
        ),
    },
    {
      key: "agreement",
      head: "α with the others",
      width: "12rem",
      cell: (row) => (
        <span className={styles.lines}>
          {row.agreement
            .filter((one) => !one.measure.startsWith("category:"))
            .map((one) => (
              <span key={one.measure}>
                {one.measure} {signed(one.alpha)} <small className="soft">n {one.subjects}</small>
              </span>
            ))}
        </span>
      ),
    },
  ];
  return (
    <DataTable
      label="Reviewers"
      columns={columns}
      rows={found.data.reviewers}
      rowKey={(row) => row.reviewer}
    />
  );
}
