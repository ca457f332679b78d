import type { Shape, Words } from "../tree/graph";

/** What a tree's file holds. Messages are stored once; a history is a chain of contexts, as in the database. */
export type SnapshotData = {
  title: string;
  made_at: string;
  version: string;
  session: { session_id: string; turns: number; nodes: number };
  shape: Shape;
  words: Words;
  /** By context: the one before it (-1: none) and its message. */
  contexts: { parent: number[]; message: number[] };
  /** By node: its context, and the message of its answer (-1: none). */
  asked: number[];
  answered: number[];
  /** By message: itself; null where it was left out of the file. */
  messages: unknown[];
  left_out: number;
};

/** The messages that a node's call was made with, from first to last. */
export function historyOf(data: SnapshotData, node: number): unknown[] {
  const found: unknown[] = [];
  for (let at = data.asked[node] ?? -1; at >= 0; at = data.contexts.parent[at] ?? -1)
    found.push(messageOf(data, data.contexts.message[at] ?? -1));
  return found.reverse();
}

/** A message; where the file leaves it out, one that says so. Null: there is none. */
export function messageOf(data: SnapshotData, message: number): unknown {
  if (message < 0) return null;
  return data.messages[message] ?? { role: "message", content: "(left out of this file: it was too long)" };
}
