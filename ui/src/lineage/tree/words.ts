import type { Words } from "./graph";

/** White space as single blanks. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** What a node says, in a line: how its answer starts, or the tools that it calls. */
export function answerLine(words: Words | undefined, node: number): string {
  const answer = oneLine(words?.answer[node] ?? "");
  const called = words?.called[node];
  if (answer) return called ? `${answer} → ${called}` : answer;
  return called ? `→ ${called}` : "";
}

/** What was asked last before a node, in a line; empty where it was the result of a tool. */
export function questionLine(words: Words | undefined, node: number): string {
  return oneLine(words?.asked[node] ?? "");
}

/** Nodes whose words hold a text, in any case. */
export function nodesSaying(words: Words | undefined, text: string): number[] {
  const wanted = oneLine(text).toLowerCase();
  if (!words || !wanted) return [];
  const found: number[] = [];
  for (let node = 0; node < words.asked.length; node++) {
    const line = `${answerLine(words, node)}\n${questionLine(words, node)}`;
    if (line.toLowerCase().includes(wanted)) found.push(node);
  }
  return found;
}
