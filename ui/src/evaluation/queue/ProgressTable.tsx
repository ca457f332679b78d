import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { type Column, DataTable } from "../../parts/DataTable";
import { ExportButtons } from "../../parts/ExportButtons";
import { count } from "../../parts/format";
import { Time } from "../../parts/Time";
import styles from "./QueuePage.module.css";
import { byTheme, kindName, type ThemeRow } from "./shares";

/** How far each theme is. */
export function ProgressTable({ shares }: { shares: readonly Schema["ShareCount"][] }) {
  const rows = byTheme(shares);
  const columns: Column<ThemeRow>[] = [
    {
      key: "theme",
      head: "Theme",
      cell: (row) => (
        <Link href={`/review?kind=${row.kind}${row.theme ? `&theme=${encodeURIComponent(row.theme)}` : ""}`}>
          {row.theme || "no theme"}
        </Link>
      ),
    },
    { key: "kind", head: "What", width: "7rem", cell: (row) => kindName(row.kind) },
    {
      key: "done",
      head: "Done",
      width: "11rem",
      cell: (row) => (
        <span className={styles.done}>
          <meter aria-label="complete" min={0} max={Math.max(1, row.items)} value={row.complete} />
          {count(row.complete)} of {count(row.items)}
        </span>
      ),
    },
    { key: "open", head: "Open", width: "4.5rem", align: "end", cell: (row) => count(row.open) },
    { key: "held", head: "Held", width: "4.5rem", align: "end", cell: (row) => count(row.leased) },
    { key: "skipped", head: "Skipped", width: "5.5rem", align: "end", cell: (row) => count(row.skipped) },
    {
      key: "judgements",
      head: "Labels",
      width: "7rem",
      align: "end",
      cell: (row) => count(row.judgements),
    },
    { key: "random", head: "Random", width: "5.5rem", align: "end", cell: (row) => count(row.random) },
    { key: "oldest", head: "Oldest open", width: "8.5rem", cell: (row) => <Time at={row.oldest} /> },
  ];
  return (
    <>
      <div className={styles.export}>
        <ExportButtons
          name="review-queue"
          columns={[
            "kind",
            "theme",
            "items",
            "open",
            "complete",
            "skipped",
            "judgements",
            "leased",
            "random",
            "oldest",
          ]}
          rows={() => rows}
        />
      </div>
      <DataTable
        label="Progress by theme"
        columns={columns}
        rows={rows}
        rowKey={(row) => `${row.kind} ${row.theme}`}
      />
    </>
  );
}
