import type { Answer } from "./answer";
import type { Unsent } from "./outbox";

/** What a browser keeps of a reviewer's work. All of it may be missing or damaged. */
export type Kept = {
  drafts: Record<string, { answer: Answer; seconds: number; at: number }>;
  outbox: Unsent[];
};

const OLDEST = 7 * 86_400_000; // of drafts, in milliseconds

type Shelf = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export function nameOf(reviewer: string, what: "work" | "keys" | "choices"): string {
  return `regraft.review.${what}.${reviewer}`;
}

export function load(shelf: Shelf, reviewer: string, now: number): Kept {
  const kept = parsed(shelf.getItem(nameOf(reviewer, "work")));
  const drafts = Object.entries(kept.drafts).filter(
    ([, draft]) => isAnswer(draft?.answer) && now - draft.at < OLDEST,
  );
  return {
    drafts: Object.fromEntries(drafts),
    outbox: kept.outbox.filter((one) => typeof one?.lease === "string" && typeof one.body === "object"),
  };
}

/** Keep it. False where the browser has no room or allows nothing. */
export function keep(shelf: Shelf, reviewer: string, kept: Kept): boolean {
  try {
    shelf.setItem(nameOf(reviewer, "work"), JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}

function parsed(text: string | null): Kept {
  try {
    const kept = JSON.parse(text ?? "{}") as Partial<Kept> | null;
    return {
      drafts: typeof kept?.drafts === "object" && kept.drafts !== null ? kept.drafts : {},
      outbox: Array.isArray(kept?.outbox) ? kept.outbox : [],
    };
  } catch {
    return { drafts: {}, outbox: [] };
  }
}

function isAnswer(value: unknown): boolean {
  const answer = value as Answer | undefined;
  return typeof answer?.note === "string" && Array.isArray(answer.categories);
}
