import { expect, test } from "vitest";
import { biasesOf, confusionOf, type Figures, judgeRows, standingOf, type Version } from "./judges";

function figures(some: Partial<Figures>): Figures {
  const none = { kappa: null, kappa_low: null, kappa_high: null, agreement: null, accuracy: null } as const;
  return {
    ...{ judge: "careful", judge_version: "careful@1", source: "judge", given_by: "model", model: "big" },
    ...{
      task: "preference",
      category: "",
      theme: null,
      status: "calibrated",
      stale: "",
      items: 60,
      components: 60,
    },
    ...none,
    ...{ precision: null, recall: null, f1: null, f1_low: null, f1_high: null, labels: [], confusion: [] },
    ...{ flips: null, first_share: null, longer_share: null, people_longer_share: null, own_pairs: 0 },
    ...{
      own_share: null,
      people_own_share: null,
      judged: null,
      prevalence: null,
      corrected_prevalence: null,
    },
    ...{ kappa_early: null, kappa_late: null, snapshots: [] },
    ...some,
  };
}

function version(some: Partial<Version>): Version {
  return {
    ...{
      judge: "sorts",
      judge_version: "sorts@1",
      task: "categories",
      model: "big",
      categories: ["overlong", "rude"],
    },
    ...{ definition: {}, current: true, votes: 5, unparseable: 1, items: 5 },
    ...{ first_used: "", last_used: "" },
    ...some,
  };
}

test("a judge without a figure is listed as uncalibrated, by category", () => {
  const rows = judgeRows(
    [figures({}), figures({ theme: "docs" }), figures({ judge: "people", judge_version: "" })],
    [
      version({}),
      version({ judge_version: "sorts@0", current: false }),
      version({ judge: "careful", judge_version: "careful@1", votes: 120 }),
    ],
  );
  expect(rows.map((row) => [row.judge, row.decides, row.votes, row.standing.kind])).toEqual([
    ["careful", "preference", 120, "calibrated"],
    ["sorts", "overlong", 5, "uncalibrated"],
    ["sorts", "rude", 5, "uncalibrated"],
    ["people", "preference", 0, "people"],
  ]);
});

test("why a judge is not believed", () => {
  expect(standingOf(figures({ status: "uncalibrated: 12 of 50 items" }))).toEqual({
    kind: "uncalibrated",
    why: "12 of 50 items",
  });
  expect(
    standingOf(figures({ stale: "rubric", status: "uncalibrated: its rubric changed since" })).kind,
  ).toBe("stale");
});

test("only biases that are known are named", () => {
  expect(biasesOf(figures({}))).toEqual([]);
  const found = biasesOf(figures({ flips: 0.2, longer_share: 0.9, people_longer_share: 0.5 }));
  expect(found.map((bias) => [bias.share, bias.beside])).toEqual([
    [0.2, 0],
    [0.9, 0.5],
  ]);
});

test("labels that nobody gave are left out of the confusion", () => {
  const confusion = [
    [3, 1, 0, 0],
    [0, 4, 0, 0],
    [0, 0, 0, 0],
    [1, 0, 0, 0],
  ];
  const found = confusionOf(figures({ labels: ["a", "b", "equal", "both_bad"], confusion }));
  expect(found.labels).toEqual(["a", "b", "both bad"]);
  expect(found.rows).toEqual([
    { label: "a", counts: [3, 1, 0], total: 4 },
    { label: "b", counts: [0, 4, 0], total: 4 },
    { label: "both bad", counts: [1, 0, 0], total: 1 },
  ]);
});
