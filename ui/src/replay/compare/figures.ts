import type { Schema } from "../../api/client";
import { partsOf } from "../../parts/messageParts";

export type Answer = Schema["ComparedAnswer"];
export type Variant = Schema["VariantFigures"];

/** The words of an answer, and its calls of tools as they would be read: what two answers are compared by. */
export function wordsOf(answer: unknown): string {
  if (answer === null || answer === undefined) return "";
  return partsOf(answer)
    .map((part) => {
      if (part.kind === "text" || part.kind === "refusal") return part.text;
      if (part.kind === "call") return `${part.name}(${part.input})`;
      return part.kind === "other" ? part.json : "";
    })
    .filter(Boolean)
    .join("\n\n");
}

/** The answer that others are compared with: the chosen one, else the original, else the first. */
export function baseOf(answers: readonly Answer[], chosen: string): Answer | undefined {
  return (
    answers.find((one) => String(one.branch_index) === chosen) ??
    answers.find((one) => one.branch_index === 0) ??
    answers[0]
  );
}

/** A range on a scale from 0 to the largest, in per cent of it: where a bar with its spread is drawn. */
export function spreadBar(
  mean: number | null,
  spread: number | null,
  largest: number,
): { mean: number; from: number; to: number } | null {
  if (mean === null || largest <= 0) return null;
  const at = (value: number) => Math.max(0, Math.min(100, (value / largest) * 100));
  const around = spread ?? 0;
  return { mean: at(mean), from: at(mean - around), to: at(mean + around) };
}

/** The end of the longest bar: the greatest mean with its spread. */
export function largestOf(variants: readonly Variant[]): number {
  return Math.max(0, ...variants.map((one) => (one.length ?? 0) + (one.length_spread ?? 0)));
}

export const EXPORTED = [
  ...["branch_index", "words", "model", "node_id", "turn_id", "run_status", "finish_reason", "prompt_tokens"],
  ...["completion_tokens", "seconds", "cost", "reward", "fidelity", "superseded", "started_at", "text"],
];

/** Answers as rows of a file, with their words. */
export function exported(answers: readonly Answer[]) {
  return answers.map(({ answer, head: _, ...figures }) => ({ ...figures, text: wordsOf(answer) }));
}
