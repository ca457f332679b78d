import type { Schema } from "../../api/client";

export type ReplayRequest = Schema["ReplayRequest"];
export const POLICIES = ["strict", "recorded", "simulated", "live"] as const;
export type Policy = (typeof POLICIES)[number];

/** What is entered. Numbers are text as typed; lists of them are separated by commas or blanks. */
export type ReplayForm = {
  nodes: readonly string[];
  sessions: readonly string[];
  themes: readonly string[];
  /** Of all contexts whose answers led to different outcomes, the heaviest. */
  pivot: boolean;
  limit: string;
  /** Models to ask; "" keeps the recorded one. */
  models: readonly string[];
  temperatures: string;
  topPs: string;
  seeds: string;
  maxTokens: string;
  systems: readonly string[];
  keepSystem: boolean;
  noSystem: boolean;
  user: string;
  keepUser: boolean;
  tools: string;
  withoutTools: readonly string[];
  samples: string;
  goesOn: boolean;
  turns: string;
  toward: string;
  policy: Policy;
  persona: string;
  simulator: string;
  concurrency: string;
  budgetTokens: string;
  budgetMoney: string;
  name: string;
  again: boolean;
  sideCalls: boolean;
};

export const EMPTY: ReplayForm = {
  nodes: [],
  sessions: [],
  themes: [],
  pivot: false,
  limit: "20",
  models: [],
  temperatures: "",
  topPs: "",
  seeds: "",
  maxTokens: "",
  systems: [],
  keepSystem: false,
  noSystem: false,
  user: "",
  keepUser: false,
  tools: "",
  withoutTools: [],
  samples: "1",
  goesOn: false,
  turns: "",
  toward: "",
  policy: "strict",
  persona: "",
  simulator: "",
  concurrency: "2",
  budgetTokens: "",
  budgetMoney: "",
  name: "",
  again: false,
  sideCalls: false,
};

/** What is wrong with a field, by its name in the form. */
export type Problems = Partial<Record<keyof ReplayForm, string>>;

type Bounds = { whole?: boolean; least?: number; most?: number };

/** The numbers in a text, without repetitions. */
export function numbersOf(
  text: string,
  { whole = false, least, most }: Bounds = {},
): { values: number[]; problem: string } {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const values: number[] = [];
  for (const word of words) {
    const value = Number(word);
    if (!Number.isFinite(value)) return { values, problem: `“${word.slice(0, 20)}” is not a number.` };
    if (whole && !Number.isSafeInteger(value)) return { values, problem: `${word} is not a whole number.` };
    if (least !== undefined && value < least) return { values, problem: `At least ${least}.` };
    if (most !== undefined && value > most) return { values, problem: `At most ${most}.` };
    if (!values.includes(value)) values.push(value);
  }
  return { values, problem: values.length > 50 ? "At most 50 values." : "" };
}

function numberOf(text: string, bounds: Bounds): { value: number | null; problem: string } {
  const { values, problem } = numbersOf(text, bounds);
  if (values.length > 1) return { value: null, problem: "One number." };
  return { value: values[0] ?? null, problem };
}

function toolsOf(text: string): { tools: Record<string, unknown>[]; problem: string } {
  if (!text.trim()) return { tools: [], problem: "" };
  try {
    const read: unknown = JSON.parse(text);
    const list = Array.isArray(read) ? read : [read];
    if (list.every((one) => typeof one === "object" && one !== null && !Array.isArray(one)))
      return { tools: list as Record<string, unknown>[], problem: "" };
    return { tools: [], problem: "A JSON list of tool definitions." };
  } catch (error) {
    return { tools: [], problem: `No JSON: ${error instanceof Error ? error.message : error}` };
  }
}

/** The request that a form describes, and what is wrong with it. */
export function requestOf(form: ReplayForm): { request: ReplayRequest; problems: Problems } {
  const problems: Problems = {};
  const list = (name: "temperatures" | "topPs" | "seeds" | "maxTokens", bounds: Bounds = {}) => {
    const { values, problem } = numbersOf(form[name], bounds);
    if (problem) problems[name] = problem;
    return values;
  };
  const one = (name: keyof ReplayForm & string, bounds: Bounds) => {
    const { value, problem } = numberOf(String(form[name]), bounds);
    if (problem) problems[name] = problem;
    return value;
  };
  const { tools, problem } = toolsOf(form.tools);
  if (problem) problems.tools = problem;
  const byCondition = form.nodes.length === 0;
  const conditions = {
    sessions: [...form.sessions],
    themes: [...form.themes],
    query: form.pivot ? ("pivot" as const) : ("" as const),
    limit: one("limit", { whole: true, least: 1, most: 5000 }),
  };
  const request = {
    nodes: [...form.nodes],
    conditions: byCondition ? conditions : null,
    grid: {
      models: form.models.map((model) => model || null),
      systems: promptsOf(form.systems, form.keepSystem, form.noSystem),
      users: promptsOf([form.user], form.keepUser, false),
      temperatures: list("temperatures", { least: 0 }),
      top_ps: list("topPs", { least: 0, most: 1 }),
      seeds: list("seeds", { whole: true }),
      max_tokens: list("maxTokens", { whole: true, least: 1 }),
      tools,
      without_tools: [...form.withoutTools],
    },
    samples: one("samples", { whole: true, least: 1, most: 1000 }) ?? 1,
    name: form.name.trim(),
    again: form.again,
    side_calls: form.sideCalls,
    concurrency: one("concurrency", { whole: true, least: 1, most: 64 }) ?? 2,
    budget_tokens: one("budgetTokens", { whole: true, least: 1 }),
    budget_money: one("budgetMoney", { least: 0 }),
    continuing: form.goesOn
      ? {
          turns: one("turns", { whole: true, least: 1, most: 100 }),
          toward: form.toward.trim(),
          tools: form.policy,
          persona: form.persona.trim() ? form.persona : null,
          simulator: form.simulator.trim(),
        }
      : null,
  };
  return { request: request as ReplayRequest, problems };
}

/** The recorded prompt (null), none at all (""), and the new ones; nothing where only the recorded one is asked. */
function promptsOf(texts: readonly string[], keep: boolean, none: boolean): (string | null)[] {
  const changed = [...(none ? [""] : []), ...new Set(texts.filter((text) => text.trim() !== ""))];
  return changed.length > 0 && keep ? [null, ...changed] : changed;
}

/** How many variants a request's grid has: each value of each list with each of the others. */
export function variantsIn(request: ReplayRequest): number {
  const grid = request.grid;
  if (!grid) return 1;
  const lists = [
    ...[grid.models, grid.systems, grid.users, grid.temperatures],
    ...[grid.top_ps, grid.seeds, grid.max_tokens],
  ];
  return lists.reduce((product, list) => product * Math.max(1, list?.length ?? 0), 1);
}

/** Whether it is known which nodes are meant. */
export function hasNodes(form: ReplayForm): boolean {
  return form.nodes.length + form.sessions.length + form.themes.length > 0 || form.pivot;
}
