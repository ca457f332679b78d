import { diffLines, diffWordsWithSpace } from "diff";

export type Piece = { text: string; change: "same" | "gone" | "new" };

/** Longer texts are compared by line, as comparing words takes more than linear time in the number of changes. */
export const LONGEST_BY_WORD = 20_000;
const MOST_EDITS = 2_000;

/** What changed from one text to another. Texts that have hardly anything in common are shown as gone and new. */
export function differenceOf(before: string, after: string): Piece[] {
  if (before === after) return before ? [{ text: before, change: "same" }] : [];
  const long = before.length + after.length > LONGEST_BY_WORD;
  const options = { maxEditLength: MOST_EDITS };
  const changes = long ? diffLines(before, after, options) : diffWordsWithSpace(before, after, options);
  if (!changes) {
    const whole: Piece[] = [
      { text: before, change: "gone" },
      { text: after, change: "new" },
    ];
    return whole.filter((piece) => piece.text);
  }
  return changes.map(({ value, added, removed }) => ({
    text: value,
    change: added ? "new" : removed ? "gone" : "same",
  }));
}
