import type { Schema } from "../../api/client";

export type Call = Schema["LiveCall"];

/** How many calls the page keeps. */
export const KEPT = 2000;

/** Calls with further ones, each once, the newest first; the oldest are dropped. */
export function withCalls(kept: readonly Call[], further: readonly Call[], most = KEPT): Call[] {
  const known = new Set(kept.map((call) => call.event_id));
  const fresh = further.filter((call) => !known.has(call.event_id));
  if (fresh.length === 0) return kept as Call[];
  return [...fresh, ...kept].sort((a, b) => b.seq - a.seq).slice(0, most);
}

/** Who asked which model, with what came of it. */
export type Edge = {
  key: string;
  caller: string;
  kind: Call["caller_kind"];
  model: string;
  upstream: string;
  calls: number;
  errors: number;
  tokens: number;
  /** Milliseconds on average. */
  mean: number;
  lastAt: string;
};

/** The name of the model that a call asked, or of the server where none is known. */
export function modelOf(call: Call): string {
  return call.model || call.upstream || "unknown";
}

/** Who asked whom in these calls, the busiest first. */
export function edgesOf(calls: readonly Call[]): Edge[] {
  const edges = new Map<string, Edge>();
  for (const call of calls) {
    const model = modelOf(call);
    const key = `${call.caller}\n${model}`;
    const edge = edges.get(key) ?? {
      key,
      caller: call.caller,
      kind: call.caller_kind,
      model,
      upstream: call.upstream,
      calls: 0,
      errors: 0,
      tokens: 0,
      mean: 0,
      lastAt: call.received_at,
    };
    edge.calls += 1;
    edge.errors += call.outcome === "ok" ? 0 : 1;
    edge.tokens += (call.prompt_tokens ?? 0) + (call.completion_tokens ?? 0);
    edge.mean += (call.duration_ms - edge.mean) / edge.calls;
    if (call.received_at > edge.lastAt) edge.lastAt = call.received_at;
    edges.set(key, edge);
  }
  return [...edges.values()].sort((a, b) => b.calls - a.calls || a.key.localeCompare(b.key));
}

/** Calls per stretch of time, the oldest first; the last stretch ends now. */
export function ratesOf(calls: readonly Call[], now: number, stretches: number, seconds: number): number[] {
  const rates = new Array<number>(stretches).fill(0);
  for (const call of calls) {
    const ago = Math.floor((now - Date.parse(call.received_at)) / (seconds * 1000));
    const place = stretches - 1 - Math.max(0, ago);
    if (place >= 0) rates[place] = (rates[place] ?? 0) + 1;
  }
  return rates;
}

export type Figures = { calls: number; errors: number; tokens: number; median: number | null };

/** What came in within the last `seconds`. */
export function figuresOf(calls: readonly Call[], now: number, seconds: number): Figures {
  const since = now - seconds * 1000;
  const within = calls.filter((call) => Date.parse(call.received_at) > since);
  const times = within.map((call) => call.duration_ms).sort((a, b) => a - b);
  return {
    calls: within.length,
    errors: within.filter((call) => call.outcome !== "ok").length,
    tokens: within.reduce((sum, call) => sum + (call.prompt_tokens ?? 0) + (call.completion_tokens ?? 0), 0),
    median: times.length > 0 ? (times[Math.floor((times.length - 1) / 2)] ?? null) : null,
  };
}

export type Place = { name: string; y: number; calls: number };
export type Line = { key: string; from: number; to: number; width: number; failed: boolean };

/** Callers at the left and models at the right, as heights of rows, with a line for each pair that spoke. */
export function layoutOf(
  edges: readonly Edge[],
  row: number,
  most = 12,
): { callers: Place[]; models: Place[]; lines: Line[]; height: number; hidden: number } {
  const left = placesOf(edges, (edge) => edge.caller, row, most);
  const right = placesOf(edges, (edge) => edge.model, row, most);
  const busiest = Math.max(1, ...edges.map((edge) => edge.calls));
  const lines = edges.flatMap((edge) => {
    const from = left.find((place) => place.name === edge.caller);
    const to = right.find((place) => place.name === edge.model);
    if (!from || !to) return [];
    const width = 1.5 + 6.5 * Math.sqrt(edge.calls / busiest);
    return [{ key: edge.key, from: from.y, to: to.y, width, failed: edge.errors > 0 }];
  });
  const height = Math.max(1, left.length, right.length) * row;
  return { callers: left, models: right, lines, height, hidden: edges.length - lines.length };
}

function placesOf(edges: readonly Edge[], name: (edge: Edge) => string, row: number, most: number): Place[] {
  const calls = new Map<string, number>();
  for (const edge of edges) calls.set(name(edge), (calls.get(name(edge)) ?? 0) + edge.calls);
  return [...calls]
    .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))
    .slice(0, most)
    .map(([place, count], index) => ({ name: place, calls: count, y: (index + 0.5) * row }));
}
