import type { Schema } from "../../api/client";

type Judgement = Schema["RowJudgement"];

/** What was said, in a few words: `5 of 5`, `prefers the chosen answer`. */
export function said(judgement: Judgement, row: Pick<Schema["SnapshotRowDetail"], "sources">): string {
  if (judgement.preference !== null) return preferred(judgement, row);
  if (judgement.value === null) return "–";
  const value = Number.isInteger(judgement.value) ? String(judgement.value) : judgement.value.toFixed(2);
  return judgement.scale_high === null ? value : `${value} of ${judgement.scale_high}`;
}

function preferred(judgement: Judgement, row: Pick<Schema["SnapshotRowDetail"], "sources">): string {
  if (judgement.preference === "equal") return "both are as good";
  if (judgement.preference === "both_bad") return "both are bad";
  const node = judgement.preference === "a" ? judgement.node_id : judgement.other_node_id;
  const own = row.sources.find((source) => source.node_id === node);
  return own ? `prefers this row's ${own.part}` : "prefers another answer";
}

/** Who said it: a name where it may be shown. */
export function who(judgement: Judgement): string {
  if (judgement.decided_by) return judgement.decided_by;
  return judgement.given_by === "person" ? "a person" : judgement.given_by || judgement.source;
}
