import type { paths } from "../../api/schema";

/** Filters of the list and sorted by, as it is in the address. */
export type Filter = {
  text: string;
  theme: string[];
  model: string[];
  purpose: string[];
  kind: string[];
  /** Calls that clients make for themselves (titles, probes), and judges: left out unless wanted. */
  side: "" | "all" | "only";
  errors: "" | "true" | "false";
  replays: "" | "true" | "false";
  outcome: "" | Outcome;
  since: string;
  until: string;
  sort: SortKey;
  descending: boolean;
};

export type Outcome = "low" | "middle" | "high" | "none";
export type SortKey = "recent" | "started" | "turns" | "errors" | "reward";
export type Asked = NonNullable<paths["/api/sessions"]["get"]["parameters"]["query"]>;

const LISTS = ["theme", "model", "purpose", "kind"] as const;
const WORDS = ["side", "errors", "replays", "outcome", "since", "until"] as const;
const SORTS: readonly SortKey[] = ["recent", "started", "turns", "errors", "reward"];
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  side: ["all", "only"],
  errors: ["true", "false"],
  replays: ["true", "false"],
  outcome: ["low", "middle", "high", "none"],
};

/** The filter of an address. What it does not know is left out. */
export function filterOf(search: URLSearchParams): Filter {
  const word = (name: string) => {
    const value = search.get(name) ?? "";
    return (ALLOWED[name]?.includes(value) ?? isDay(value)) ? value : "";
  };
  const sort = search.get("sort") ?? "";
  const key = sort.replace(/^-/, "") as SortKey;
  return {
    text: search.get("q") ?? "",
    theme: search.getAll("theme"),
    model: search.getAll("model"),
    purpose: search.getAll("purpose"),
    kind: search.getAll("kind"),
    side: word("side") as Filter["side"],
    errors: word("errors") as Filter["errors"],
    replays: word("replays") as Filter["replays"],
    outcome: word("outcome") as Filter["outcome"],
    since: word("since"),
    until: word("until"),
    sort: SORTS.includes(key) ? key : "recent",
    descending: SORTS.includes(key) ? sort.startsWith("-") : true,
  };
}

/** The address's part for a filter; what others keep there (columns) stays. */
export function withFilter(search: URLSearchParams, filter: Filter): URLSearchParams {
  const next = new URLSearchParams(search);
  for (const name of ["q", "sort", ...LISTS, ...WORDS]) next.delete(name);
  if (filter.text) next.set("q", filter.text);
  for (const name of LISTS) for (const value of filter[name]) next.append(name, value);
  for (const name of WORDS) if (filter[name]) next.set(name, filter[name]);
  if (filter.sort !== "recent" || !filter.descending)
    next.set("sort", `${filter.descending ? "-" : ""}${filter.sort}`);
  return next;
}

/** What the server is asked for. Days are those of the reader's time zone; `until` is the last of them. */
export function askedFor(filter: Filter): Asked {
  const asked: Asked = { sort: filter.sort, order: filter.descending ? "desc" : "asc" };
  if (filter.text) asked.text = filter.text;
  for (const name of LISTS) if (filter[name].length) asked[name] = filter[name];
  if (filter.side !== "all") asked.side = filter.side === "only";
  if (filter.errors) asked.errors = filter.errors === "true";
  if (filter.replays) asked.replays = filter.replays === "true";
  if (filter.outcome === "low") asked.most = 0.25;
  // Between the others, which hold their bounds.
  if (filter.outcome === "middle") Object.assign(asked, { least: 0.25 + 1e-9, most: 0.75 - 1e-9 });
  if (filter.outcome === "high") asked.least = 0.75;
  if (filter.outcome === "none") asked.judged = false;
  if (filter.since) asked.since = new Date(`${filter.since}T00:00:00`).toISOString();
  if (filter.until) {
    const end = new Date(`${filter.until}T00:00:00`);
    end.setDate(end.getDate() + 1);
    asked.until = end.toISOString();
  }
  return asked;
}

/** Whether anything is asked for beyond what the list shows by itself. */
export function isNarrowed(filter: Filter): boolean {
  return (
    filter.text !== "" ||
    LISTS.some((name) => filter[name].length > 0) ||
    WORDS.some((name) => filter[name] !== "" && !(name === "side" && filter.side === "all"))
  );
}

/** A filter that asks for nothing but keeps its order. */
export function cleared(filter: Filter): Filter {
  return { ...filterOf(new URLSearchParams()), sort: filter.sort, descending: filter.descending };
}

/** An address where all of a filter's rows come as a file. */
export function exportAddress(filter: Filter, form: "csv" | "jsonl"): string {
  const search = new URLSearchParams({ form });
  for (const [name, value] of Object.entries(askedFor(filter))) {
    for (const one of Array.isArray(value) ? value : [value]) search.append(name, String(one));
  }
  return `/api/sessions/export?${search}`;
}

function isDay(value: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value));
}
