import type { Schema } from "../../api/client";

export type Item = Schema["ReviewItem"];
export type Place = "first" | "second" | "equal" | "both_bad";
export type Submission = Schema["SubmitRequest"];

/** What a reviewer has said of an item so far. */
export type Answer = {
  rating: number | null;
  categories: readonly string[];
  preference: Place | null;
  note: string;
};

export const NOTHING: Answer = { rating: null, categories: [], preference: null, note: "" };

/** The places of a pair, in the order of their keys, with what they are called. */
export const PLACES: readonly { place: Place; label: string }[] = [
  { place: "first", label: "A is better" },
  { place: "second", label: "B is better" },
  { place: "equal", label: "Equal" },
  { place: "both_bad", label: "Both bad" },
];

/** Whether it says enough to be submitted. */
export function isComplete(kind: string, answer: Answer): boolean {
  return kind === "pair" ? answer.preference !== null : answer.rating !== null;
}

/** Whether anything was said. */
export function isEmpty(answer: Answer): boolean {
  return (
    answer.rating === null &&
    answer.preference === null &&
    answer.note === "" &&
    answer.categories.length === 0
  );
}

/** The answer with a category in it, or without where it was there. */
export function toggled(answer: Answer, category: string): Answer {
  const there = answer.categories.includes(category);
  const categories = there
    ? answer.categories.filter((name) => name !== category)
    : [...answer.categories, category];
  return { ...answer, categories };
}

/** What is sent for an answer. `seconds` is how long the item was looked at. */
export function submissionOf(kind: string, answer: Answer, seconds: number): Submission {
  const time = Math.min(86_400, Math.round(seconds * 10) / 10);
  if (kind === "pair")
    return { preference: answer.preference, categories: [], note: answer.note, seconds: time };
  return { rating: answer.rating, categories: [...answer.categories], note: answer.note, seconds: time };
}

/** The answer that a draft of the server holds; nothing where there is none. */
export function answerOf(draft: Schema["AnswerBody"] | null | undefined): Answer {
  if (!draft) return NOTHING;
  return {
    rating: draft.rating ?? null,
    categories: draft.categories ?? [],
    preference: (draft.preference as Place | null | undefined) ?? null,
    note: draft.note ?? "",
  };
}
