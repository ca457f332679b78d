import { EMPTY, POLICIES, type Policy, type ReplayForm } from "./form";

type Names = { [Key in keyof ReplayForm]: string };

/** What the fields are called in the address. */
const NAMES: Names = {
  nodes: "nodes",
  sessions: "session",
  themes: "theme",
  pivot: "pivot",
  limit: "limit",
  models: "model",
  temperatures: "temperature",
  topPs: "top_p",
  seeds: "seed",
  maxTokens: "max_tokens",
  systems: "system",
  keepSystem: "keep_system",
  noSystem: "no_system",
  user: "user",
  keepUser: "keep_user",
  tools: "tools",
  withoutTools: "without",
  samples: "samples",
  goesOn: "continue",
  turns: "turns",
  toward: "toward",
  policy: "policy",
  persona: "persona",
  simulator: "simulator",
  concurrency: "concurrency",
  budgetTokens: "budget_tokens",
  budgetMoney: "budget",
  name: "name",
  again: "again",
  sideCalls: "side_calls",
};
const RECORDED = "-"; // the recorded model, in the address

/** The form that an address describes. */
export function formOf(params: URLSearchParams): ReplayForm {
  const form: Record<string, unknown> = { ...EMPTY };
  for (const [field, name] of Object.entries(NAMES)) {
    if (!params.has(name)) continue;
    const start = EMPTY[field as keyof ReplayForm];
    if (field === "nodes") form[field] = nodesIn(params.getAll(name).join(","));
    else if (Array.isArray(start)) form[field] = [...new Set(params.getAll(name))];
    else if (typeof start === "boolean") form[field] = !["", "0", "false"].includes(params.get(name) ?? "");
    else form[field] = params.get(name) ?? "";
  }
  form.models = (form.models as string[]).map((model) => (model === RECORDED ? "" : model));
  if (!POLICIES.includes(form.policy as Policy)) form.policy = EMPTY.policy;
  return form as ReplayForm;
}

/** The address of a form: only what differs from an empty one. */
export function paramsOf(form: ReplayForm): URLSearchParams {
  const params = new URLSearchParams();
  for (const [field, name] of Object.entries(NAMES)) {
    const value = form[field as keyof ReplayForm];
    if (field === "nodes") {
      if (form.nodes.length > 0) params.set(name, form.nodes.join(","));
    } else if (field === "models") {
      for (const model of form.models) params.append(name, model || RECORDED);
    } else if (Array.isArray(value)) {
      for (const one of value) params.append(name, one);
    } else if (typeof value === "boolean") {
      if (value) params.set(name, "1");
    } else if (value !== EMPTY[field as keyof ReplayForm]) {
      params.set(name, String(value));
    }
  }
  return params;
}

/** The ids in a text, in whatever way they are separated. */
export function nodesIn(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((word) => /^[0-9a-f][0-9a-f-]{5,39}$/i.test(word)))];
}
