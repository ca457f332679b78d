import { ApiProblem } from "../../api/problem";
import type { Submission } from "./answer";

/** An answer that was given and did not arrive. It is kept in the browser until it did. */
export type Unsent = { readonly lease: string; readonly body: Submission };

/** Milliseconds before it is tried again: longer after each attempt, half a minute at most. */
export function waitBefore(attempt: number): number {
  return Math.min(30_000, 1000 * 2 ** Math.min(attempt, 5));
}

/** Whether it may work later: the server did not answer, was too busy, or wants a sign-in. */
export function mayWorkLater(error: unknown): boolean {
  if (!(error instanceof ApiProblem)) return true;
  return error.status >= 500 || error.status === 429 || error.status === 408 || error.status === 401;
}

export function added(box: readonly Unsent[], one: Unsent): Unsent[] {
  return [...box.filter((other) => other.lease !== one.lease), one];
}

export function without(box: readonly Unsent[], lease: string): Unsent[] {
  return box.filter((one) => one.lease !== lease);
}
