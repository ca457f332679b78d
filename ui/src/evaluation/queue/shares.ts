import type { Schema } from "../../api/client";

export type Share = Schema["ShareCount"];
export type ThemeRow = {
  kind: "unit" | "pair";
  theme: string;
  items: number;
  open: number;
  complete: number;
  skipped: number;
  judgements: number;
  leased: number;
  random: number;
  oldest: string | null;
};

/** Items by kind and theme, whatever their share, those with most open first. */
export function byTheme(shares: readonly Share[]): ThemeRow[] {
  const rows = new Map<string, ThemeRow>();
  for (const share of shares) {
    const key = `${share.kind} ${share.theme}`;
    const row: ThemeRow = rows.get(key) ?? {
      ...{ kind: share.kind, theme: share.theme, oldest: null },
      ...{ items: 0, open: 0, complete: 0, skipped: 0, judgements: 0, leased: 0, random: 0 },
    };
    for (const name of ["items", "open", "complete", "skipped", "judgements", "leased"] as const)
      row[name] += share[name];
    if (share.share === "random") row.random += share.items;
    if (share.oldest_open && (!row.oldest || share.oldest_open < row.oldest)) row.oldest = share.oldest_open;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => b.open - a.open || a.theme.localeCompare(b.theme));
}

/** What an item is called to people. */
export function kindName(kind: string): string {
  return kind === "pair" ? "two answers" : "path";
}

/** What a measure of agreement is called. */
export function measureName(measure: string): string {
  return measure.startsWith("category:") ? measure.slice("category:".length).replaceAll("_", " ") : measure;
}

/** How often each thing was said, the most frequent first: `A by 2, equal by 1`. */
export function saidCounts(said: readonly string[]): string {
  const names: Record<string, string> = { first: "A", second: "B", both_bad: "both bad" };
  const counts = new Map<string, number>();
  for (const each of said) counts.set(names[each] ?? each, (counts.get(names[each] ?? each) ?? 0) + 1);
  return [...counts]
    .sort(([a, m], [b, n]) => n - m || a.localeCompare(b))
    .map(([name, count]) => `${name} by ${count}`)
    .join(", ");
}
