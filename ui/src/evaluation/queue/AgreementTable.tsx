import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Time } from "../../parts/Time";
import { Interval } from "../figures/Interval";
import { measureName } from "./shares";

type Row = Schema["ThemeAgreement"];

/** How far people agree on each theme. */
export function AgreementTable({ rows }: { rows: readonly Row[] }) {
  if (rows.length === 0)
    return (
      <Empty title="No item was judged by two people yet">
        <p>
          Fill the queue with a share of items that one more person judges (<code>review.overlap</code>).
          Agreement is measured when labels change.
        </p>
      </Empty>
    );
  const columns: Column<Row>[] = [
    { key: "theme", head: "Theme", cell: (row) => row.theme || <span className="soft">no theme</span> },
    { key: "measure", head: "Of", width: "9rem", cell: (row) => measureName(row.measure) },
    {
      key: "alpha",
      head: "Krippendorff’s α, 95 %",
      width: "15rem",
      cell: (row) => <Interval value={row.alpha} low={row.low} high={row.high} n={row.subjects} />,
    },
    { key: "labels", head: "Labels", width: "5.5rem", align: "end", cell: (row) => row.labels },
    { key: "reviewers", head: "People", width: "5.5rem", align: "end", cell: (row) => row.reviewers },
    {
      key: "disputed",
      head: "They differ on",
      width: "8rem",
      align: "end",
      cell: (row) =>
        row.disputed > 0 && !row.measure.startsWith("category:") ? (
          <Link href={`/review/queue?tab=differences&theme=${encodeURIComponent(row.theme)}`}>
            {row.disputed}
          </Link>
        ) : (
          row.disputed
        ),
    },
    {
      key: "contested",
      head: "Status",
      width: "8rem",
      cell: (row) =>
        row.contested ? (
          <Chip tone="bad" title="Its labels decide nothing until they are adjudicated">
            ✕ contested
          </Chip>
        ) : (
          <Chip tone="good">✓ decides</Chip>
        ),
    },
  ];
  return (
    <>
      <DataTable
        label="Agreement by theme"
        columns={columns}
        rows={rows}
        rowKey={(row) => `${row.theme} ${row.measure}`}
      />
      <p className="soft">
        Measured <Time at={rows[0]?.measured_at} />. 1 is perfect, 0 is what chance gives. Labels of a
        contested theme decide nothing until what people differ on is adjudicated.
      </p>
    </>
  );
}
