import type { Schema } from "../../api/client";
import { partsOf } from "../../parts/messageParts";

export type Brief = {
  system: string;
  askedBy: string;
  asked: string;
  answer: string;
  model: string;
  messages: number;
  tools: string[];
  answers: number;
};

const LONGEST = 400;

/** What is to be known of a node before it is replayed. Its history and its tools are as they were captured. */
export function brief(node: Pick<Schema["Node"], "history" | "tools" | "run_records" | "siblings">): Brief {
  const history: unknown[] = Array.isArray(node.history) ? node.history : [];
  const system = history.find((message) => ["system", "developer"].includes(roleOf(message)));
  const last = history.at(-1);
  const run = node.run_records[0];
  return {
    system: system === undefined ? "" : textOf(system),
    askedBy: roleOf(last) || "asked",
    asked: textOf(last) || "(nothing)",
    answer: run?.answer ? textOf(run.answer) || "(empty)" : "(none)",
    model: run?.model ?? "",
    messages: history.length,
    tools: toolNames(node.tools),
    answers: node.siblings.length,
  };
}

/** The names of the tools in a request's parts, in whatever API it was written. */
export function toolNames(tools: unknown): string[] {
  if (typeof tools !== "object" || tools === null) return [];
  const lists = Array.isArray(tools)
    ? [tools]
    : [(tools as Record<string, unknown>).tools, (tools as Record<string, unknown>).functions];
  const names = lists.flatMap((list) => (Array.isArray(list) ? list : [])).map(nameOf);
  return [...new Set(names.filter(Boolean))];
}

function nameOf(tool: unknown): string {
  if (typeof tool !== "object" || tool === null) return "";
  const { name, type, function: inner } = tool as Record<string, unknown>;
  const named = typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>).name : name;
  return typeof named === "string" ? named : typeof type === "string" ? type : "";
}

function roleOf(message: unknown): string {
  const role = (message as { role?: unknown } | null | undefined)?.role;
  return typeof role === "string" ? role : "";
}

/** The words of a message, its calls by name; cut. */
export function textOf(message: unknown): string {
  const words = partsOf(message).map((part) => {
    if (part.kind === "text" || part.kind === "refusal" || part.kind === "result") return part.text;
    if (part.kind === "call") return `calls ${part.name}(${part.input})`;
    return part.kind === "file" ? `(${part.what} ${part.name})` : "";
  });
  const text = words.filter(Boolean).join("\n").trim();
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}
