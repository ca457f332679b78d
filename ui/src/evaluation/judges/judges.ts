import type { Schema } from "../../api/client";

export type Figures = Schema["JudgeFiguresShown"];
export type Version = Schema["JudgeVersion"];
/** From how much agreement on how many items a judge is believed where a recipe says nothing. */
export const MIN_AGREEMENT = 0.6;
export const MIN_JUDGED = 50;
const PEOPLE = "people";

/** A judge on one task and category: what is known of it, or that nothing is. */
export type JudgeRow = {
  key: string;
  judge: string;
  version: string;
  source: string;
  decides: string;
  model: string;
  votes: number;
  unparseable: number;
  figures: Figures | null;
  standing: Standing;
};

export type Standing = { kind: "calibrated" | "uncalibrated" | "stale" | "people"; why: string };

/** How a status is shown: by a word and a sign, and why. */
export function standingOf(figures: Pick<Figures, "status" | "stale" | "judge"> | null): Standing {
  if (figures === null) return { kind: "uncalibrated", why: "no item that people judged too" };
  if (figures.judge === PEOPLE) return { kind: "people", why: "each person against the others" };
  if (figures.stale) return { kind: "stale", why: `its ${figures.stale} changed since` };
  if (figures.status === "calibrated") return { kind: "calibrated", why: "" };
  return { kind: "uncalibrated", why: figures.status.replace(/^uncalibrated: /, "") };
}

/** Every judge: those compared with people, and those that were run without. Judges come before people. */
export function judgeRows(figures: readonly Figures[], versions: readonly Version[]): JudgeRow[] {
  const whole = figures.filter((one) => one.theme === null);
  const votes = new Map(versions.map((one) => [one.judge_version, one]));
  const rows = whole.map((one): JudgeRow => {
    const version = votes.get(one.judge_version);
    return {
      key: `${one.judge} ${one.judge_version} ${one.source} ${one.task} ${one.category}`,
      ...{ judge: one.judge, version: one.judge_version, source: one.source },
      decides: decidesOf(one.task, one.category),
      model: one.model,
      ...{ votes: version?.votes ?? 0, unparseable: version?.unparseable ?? 0 },
      figures: one,
      standing: standingOf(one),
    };
  });
  const known = new Set(whole.map((one) => one.judge_version));
  for (const one of versions) {
    if (!one.current || known.has(one.judge_version)) continue;
    for (const category of one.categories.length > 0 ? one.categories : [""])
      rows.push({
        key: `${one.judge} ${one.judge_version} judge ${one.task} ${category}`,
        ...{ judge: one.judge, version: one.judge_version, source: "judge", model: one.model },
        decides: decidesOf(one.task, category),
        ...{ votes: one.votes, unparseable: one.unparseable, figures: null, standing: standingOf(null) },
      });
  }
  return rows.sort(
    (a, b) =>
      Number(a.judge === PEOPLE) - Number(b.judge === PEOPLE) ||
      a.judge.localeCompare(b.judge) ||
      a.decides.localeCompare(b.decides),
  );
}

export function decidesOf(task: string, category: string): string {
  return category ? category.replaceAll("_", " ") : task;
}

/** A bias of a judge: its share beside the one that an unbiased judge, or people, have. */
export type Bias = { name: string; share: number; beside: number; besideName: string; n: number | null };

/** `items`: how many it voted on, people or not. */
export function biasesOf(one: Figures, items: number | null = null): Bias[] {
  const found: Bias[] = [];
  if (one.flips !== null)
    found.push({
      name: "changes its preference with the order",
      share: one.flips,
      beside: 0,
      besideName: "never",
      n: items,
    });
  if (one.first_share !== null)
    found.push({
      name: "votes for the answer shown first",
      share: one.first_share,
      beside: 0.5,
      besideName: "half",
      n: items,
    });
  if (one.longer_share !== null && one.people_longer_share !== null)
    found.push({
      name: "prefers the longer answer",
      share: one.longer_share,
      beside: one.people_longer_share,
      besideName: "people",
      n: one.items,
    });
  if (one.own_share !== null && one.people_own_share !== null)
    found.push({
      name: "prefers its own model family",
      share: one.own_share,
      beside: one.people_own_share,
      besideName: "people",
      n: one.own_pairs,
    });
  return found;
}

/** Confusion as rows: people's label, with counts by the judge's. Labels that nobody gave are left out. */
export function confusionOf(one: Figures): {
  labels: string[];
  rows: { label: string; counts: number[]; total: number }[];
} {
  const used = one.labels.map(
    (_, index) =>
      (one.confusion[index] ?? []).some((count) => count > 0) ||
      one.confusion.some((row) => (row[index] ?? 0) > 0),
  );
  const keep = (_: unknown, index: number) => used[index];
  const rows = one.labels
    .map((label, index) => {
      const counts = (one.confusion[index] ?? []).filter(keep);
      return { label: label.replace("_", " "), counts, total: counts.reduce((sum, count) => sum + count, 0) };
    })
    .filter(keep);
  return { labels: one.labels.filter(keep).map((label) => label.replace("_", " ")), rows };
}
