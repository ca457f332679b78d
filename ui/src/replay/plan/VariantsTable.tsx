import type { Schema } from "../../api/client";
import { type Column, DataTable } from "../../parts/DataTable";
import { count, duration } from "../../parts/format";
import { useNarrow } from "../../parts/useNarrow";
import { JobsBar } from "./JobsBar";

type Variant = Schema["VariantProgress"];

const COLUMNS: readonly Column<Variant>[] = [
  { key: "words", head: "Variant", cell: (row) => <span title={row.words}>{row.words}</span> },
  {
    key: "progress",
    head: "Calls",
    width: "14rem",
    cell: (row) => (
      <JobsBar done={row.done} failed={row.failed} jobs={row.jobs} left={row.jobs - row.done - row.failed} />
    ),
  },
  { key: "prompt", head: "Prompts", width: "7rem", align: "end", cell: (row) => count(row.prompt_tokens) },
  {
    key: "completion",
    head: "Answers",
    width: "7rem",
    align: "end",
    cell: (row) => count(row.completion_tokens),
  },
  {
    key: "seconds",
    head: "Time of a call",
    width: "8rem",
    align: "end",
    cell: (row) => duration(row.seconds === null ? null : row.seconds * 1000),
  },
];

/** How far each variant of a plan is. */
export function VariantsTable({ plan }: { plan: Schema["Plan"] }) {
  const narrow = useNarrow();
  return (
    <DataTable
      label="Calls by variant"
      columns={narrow ? COLUMNS.slice(0, 2) : COLUMNS}
      rows={plan.variants}
      rowKey={(row) => String(row.variant_index)}
    />
  );
}
