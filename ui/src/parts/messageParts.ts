/** What a message says, part by part, whatever API it was written for. What is not known is kept as JSON. */
export type Part =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "refusal"; text: string }
  | { kind: "call"; name: string; id: string; input: string }
  | { kind: "result"; id: string; text: string; failed: boolean }
  | { kind: "file"; what: string; name: string }
  | { kind: "other"; json: string };

type Fields = Record<string, unknown>;

const TEXT = new Set(["text", "input_text", "output_text", "summary_text"]);
const REASONING = new Set(["thinking", "reasoning", "redacted_thinking", "reasoning_text"]);

/** The parts of a message as it was captured: of Chat Completions, Messages (Anthropic) or Responses. */
export function partsOf(message: unknown): Part[] {
  if (!isFields(message)) return [{ kind: "other", json: asJson(message) }];
  const parts: Part[] = [];
  for (const name of ["reasoning", "reasoning_content"]) {
    const text = message[name];
    if (typeof text === "string" && text) parts.push({ kind: "reasoning", text });
  }
  if (message.role === "tool" || message.role === "function") {
    const id = textOf(message.tool_call_id) || textOf(message.name);
    parts.push({ kind: "result", id, text: flatten(message.content), failed: message.is_error === true });
  } else if (message.content !== undefined && message.content !== null) {
    parts.push(...contentOf(message.content));
  }
  if (typeof message.refusal === "string" && message.refusal)
    parts.push({ kind: "refusal", text: message.refusal });
  for (const call of asList(message.tool_calls)) parts.push(callOf(call));
  if (isFields(message.function_call)) parts.push(callOf({ function: message.function_call }));
  if (parts.length === 0 && typeof message.type === "string") parts.push(partOf(message));
  return parts;
}

function contentOf(content: unknown): Part[] {
  if (typeof content === "string") return content ? [{ kind: "text", text: content }] : [];
  return asList(content).map(partOf);
}

function partOf(part: unknown): Part {
  if (typeof part === "string") return { kind: "text", text: part };
  if (!isFields(part)) return { kind: "other", json: asJson(part) };
  const type = textOf(part.type);
  if (TEXT.has(type) && typeof part.text === "string") return { kind: "text", text: part.text };
  if (type === "refusal" && typeof part.refusal === "string") return { kind: "refusal", text: part.refusal };
  if (REASONING.has(type))
    return {
      kind: "reasoning",
      text: textOf(part.thinking) || textOf(part.text) || flatten(part.summary ?? part.content),
    };
  if (type === "tool_use" || type === "function_call" || type === "server_tool_use") return callOf(part);
  if (type === "tool_result" || type === "function_call_output") {
    const id = textOf(part.tool_use_id) || textOf(part.call_id);
    return { kind: "result", id, text: flatten(part.content ?? part.output), failed: part.is_error === true };
  }
  const file = fileOf(type, part);
  return file ?? { kind: "other", json: asJson(part) };
}

function callOf(call: unknown): Part {
  if (!isFields(call)) return { kind: "other", json: asJson(call) };
  const inner = isFields(call.function) ? call.function : isFields(call.custom) ? call.custom : call;
  const input = inner.arguments ?? inner.input;
  return {
    kind: "call",
    name: textOf(inner.name) || "(no name)",
    id: textOf(call.id) || textOf(call.call_id),
    input: typeof input === "string" ? input : input === undefined ? "" : asJson(input),
  };
}

function fileOf(type: string, part: Fields): Part | null {
  const what = /image/.test(type)
    ? "image"
    : /audio/.test(type)
      ? "audio"
      : /file|document/.test(type)
        ? "file"
        : "";
  if (!what) return null;
  const inner = [part.image_url, part.source, part.input_audio, part.file, part].find(isFields) ?? part;
  const where = textOf(part.image_url) || textOf(inner.url) || textOf(inner.data) || textOf(inner.file_data);
  const name =
    textOf(inner.filename) ||
    textOf(part.title) ||
    nameOf(where, textOf(inner.media_type) || textOf(inner.format));
  return { kind: "file", what, name };
}

/** What to call a file that has no name: its address, or the type and size of what is inside it. */
function nameOf(where: string, type: string): string {
  if (!where.startsWith("data:") && /^[a-z]+:\/\//i.test(where))
    return where.length > 120 ? `${where.slice(0, 119)}…` : where;
  const comma = where.startsWith("data:") ? where.indexOf(",") : -1;
  const declared = comma > 0 ? where.slice(5, comma).split(";")[0] : type;
  const kilobytes = Math.ceil(((where.length - comma - 1) * 3) / 4 / 1024);
  return `${declared || "unnamed"}, ${kilobytes} KiB`;
}

/** All text in a content, as tool results have it. */
function flatten(content: unknown): string {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  const parts = asList(content).map((part) =>
    isFields(part) && typeof part.text === "string" ? part.text : asJson(part),
  );
  return parts.length > 0 ? parts.join("\n") : asJson(content);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function asJson(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "";
}
