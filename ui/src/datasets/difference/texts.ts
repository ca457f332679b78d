import type { Schema } from "../../api/client";

/** A row as one text, so that two of them can be compared word by word. */
export function rowText(row: Schema["SnapshotRowDetail"] | undefined): string {
  if (!row) return "";
  return row.parts
    .map((part) =>
      [...(row.parts.length > 1 ? [`[${part.name}]`] : []), ...part.messages.map(messageText)].join("\n"),
    )
    .join("\n\n");
}

function messageText({ message, effect }: Schema["RowMessage"]): string {
  const parts = Array.isArray(message.parts) ? message.parts.join("\n") : message.content;
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  const called = calls.map((call) => `calls ${call?.function?.name}(${call?.function?.arguments})`);
  const marks = message.role === "assistant" && effect === "" ? " (not trained on)" : "";
  return [`${message.role}${marks}:`, message.reasoning, parts, ...called].filter(Boolean).join("\n");
}

/** The certificate of a row as lines: what may differ though the row reads the same. */
export function certificateText(row: Schema["SnapshotRowDetail"] | undefined): string {
  if (!row) return "";
  const lines = row.figures.map((one) => `${one.name}: ${one.value}`);
  return [`split: ${row.split}`, ...lines, `session: ${row.session_id}`, ...row.notes].join("\n");
}
