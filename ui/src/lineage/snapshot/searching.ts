import { nodesSaying } from "../tree/words";
import type { SnapshotData } from "./data";

/** Nodes whose answer, or the message before it, holds a text, in any case. */
export function nodesHolding(data: SnapshotData, text: string): number[] {
  const wanted = text.trim().toLowerCase();
  const holds = data.messages.map((message) => saysIt(message, wanted));
  const found = new Set(nodesSaying(data.words, text));
  for (let node = 0; node < data.asked.length; node++) {
    const last = data.contexts.message[data.asked[node] ?? -1] ?? -1;
    if (holds[data.answered[node] ?? -1] || holds[last]) found.add(node);
  }
  return [...found];
}

function saysIt(message: unknown, wanted: string): boolean {
  return message !== null && (JSON.stringify(message) ?? "").toLowerCase().includes(wanted);
}
