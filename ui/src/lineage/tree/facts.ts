import { count, duration, percent } from "../../parts/format";
import { markOf } from "../../parts/kinds";
import { type Graph, type Shape, Special } from "./graph";

/** What is known of a node from the shape: names and values for people. */
export function factsOf(shape: Shape, graph: Graph, node: number): [string, string][] {
  const { nodes, names } = shape;
  const facts: [string, string][] = [];
  const model = nodes.model[node];
  if (model !== null && model !== undefined) facts.push(["Model", names.models[model] || "(no name)"]);
  const status = names.statuses[nodes.status[node] as number];
  if (status !== "ok") facts.push(["Status", status ?? ""]);
  if ((nodes.runs[node] as number) > 1) facts.push(["Runs", count(nodes.runs[node] as number)]);
  const outcome = nodes.outcome[node];
  if (outcome !== null && outcome !== undefined) facts.push(["Outcome", String(outcome)]);
  const fidelity = nodes.fidelity[node];
  if (fidelity !== null && fidelity !== undefined)
    facts.push(["Tool results from the record", percent(fidelity)]);
  if ((nodes.calls[node] as number) > 0) facts.push(["Tool calls", count(nodes.calls[node] as number)]);
  const [asked, answered] = [nodes.tokens_in[node], nodes.tokens_out[node]];
  if (asked !== null || answered !== null)
    facts.push(["Tokens", `${tokens(asked)} in, ${tokens(answered)} out`]);
  if (nodes.ms[node] !== null) facts.push(["Time", duration(nodes.ms[node])]);
  const special = graph.special[node] as number;
  if (special & Special.stale) facts.push(["Stale", "outdated"]);
  if (special & Special.pivot) facts.push(["Pivot", "its answers led to different outcomes"]);
  if (special & Special.link) facts.push(["Linked", "with another session"]);
  return facts;
}

function tokens(value: number | null | undefined): string {
  return value === null || value === undefined ? "?" : count(value);
}

/** A node in a few words: its kind, whether it is a replay. */
export function kindLine(shape: Shape, node: number): string {
  const label = markOf(shape.names.kinds[shape.nodes.kind[node] as number] ?? "").label;
  return shape.nodes.replay[node] ? `${label}, replay` : label;
}
