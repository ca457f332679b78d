import type { Schema } from "../api/client";
import { count, counted } from "../parts/format";

/** What a kind of dataset teaches, in a few words. */
export const KINDS: Readonly<Record<string, string>> = {
  sft: "answers to imitate",
  dpo: "pairs: a better and a worse answer",
  reward: "pairs that a reward model learns from",
  suppression: "answers that are wanted or not",
  unlearning: "answers to forget and to retain",
};

/** The sum of counts by name. */
export function total(counts: Readonly<Record<string, unknown>>): number {
  return Object.values(counts).reduce<number>((sum, each) => sum + (Number(each) || 0), 0);
}

/** Names with their counts, the most first. */
export function ranked(counts: Readonly<Record<string, unknown>>): [string, number][] {
  return Object.entries(counts)
    .map(([name, value]): [string, number] => [name, Number(value) || 0])
    .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** `not_among_best` as `not among best`. */
export function spoken(name: string): string {
  return name.replaceAll("_", " ") || "none";
}

/** `660 train and 72 validation`. */
export function splitsInWords(splits: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(splits).map(([name, value]) => `${count(Number(value))} ${name}`);
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** What a freeze of what was previewed will do, in one or two sentences. */
export function freezeInWords(found: Schema["Preview"]): string {
  const what = `${counted(found.rows, "row")} of kind ${found.kind} (${KINDS[found.kind] ?? found.kind})`;
  if (!found.whole)
    return `This freezes every row that fits ${found.recipe}: at least ${what}. The preview made only the best thousand.`;
  return `This freezes ${what} as ${found.recipe}: ${splitsInWords(found.splits)}.`;
}

const STEPS: Readonly<Record<string, string>> = {
  "": "Waiting for its turn",
  waiting: "Waiting for other work",
  measuring: "Reading new data",
  ranking: "Ranking candidates",
  rows: "Going through rows",
  figures: "Counting",
  splits: "Splitting",
  writing: "Writing files",
  packing: "Packing files",
};

/** What work is doing now. */
export function stepInWords(step: string): string {
  return STEPS[step] ?? spoken(step);
}

/** What a verification found, in one sentence. */
export function verificationInWords(found: Schema["Verification"]): string {
  if (found.ok)
    return `The files are as frozen, and ${counted(found.checked, "row follows", "rows follow")} from the recorded calls.`;
  return [found.files && `Files: ${found.files}.`, found.rows && `Rows: ${found.rows}.`]
    .filter(Boolean)
    .join(" ");
}
