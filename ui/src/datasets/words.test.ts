import { expect, test } from "vitest";
import type { Schema } from "../api/client";
import { freezeInWords, ranked, splitsInWords, stepInWords, total, verificationInWords } from "./words";

const PREVIEW = {
  rows: 732,
  kind: "sft",
  recipe: "good",
  whole: true,
  splits: { train: 660, validation: 72 },
};

test("counts are summed and ranked, ties by name", () => {
  expect(total({ a: 1, b: 2 })).toBe(3);
  expect(ranked({ b: 1, a: 1, c: 5, d: "x" })).toEqual([
    ["c", 5],
    ["a", 1],
    ["b", 1],
    ["d", 0],
  ]);
});

test("splits are named in a sentence", () => {
  expect(splitsInWords({ train: 1200, validation: 72 })).toBe("1,200 train and 72 validation");
  expect(splitsInWords({ train: 1, validation: 2, test: 3 })).toBe("1 train, 2 validation and 3 test");
  expect(splitsInWords({ train: 1 })).toBe("1 train");
  expect(splitsInWords({})).toBe("");
});

test("a freeze says what it will hold, and no more than is known", () => {
  const whole = freezeInWords(PREVIEW as unknown as Schema["Preview"]);
  expect(whole).toBe(
    "This freezes 732 rows of kind sft (answers to imitate) as good: 660 train and 72 validation.",
  );
  const part = freezeInWords({ ...PREVIEW, whole: false } as unknown as Schema["Preview"]);
  expect(part).toContain("at least 732 rows");
  expect(part).toContain("only the best thousand");
});

test("steps that are not known keep their name", () => {
  expect([stepInWords("ranking"), stepInWords(""), stepInWords("new_step")]).toEqual([
    "Ranking candidates",
    "Waiting for its turn",
    "new step",
  ]);
});

test("a verification says what is wrong", () => {
  const found = { ok: true, checked: 1, files: "", rows: "", changed: [], snapshot_id: "s" };
  expect(verificationInWords(found)).toBe(
    "The files are as frozen, and 1 row follows from the recorded calls.",
  );
  expect(verificationInWords({ ...found, ok: false, rows: "1 of 2 rows disagree with the log" })).toBe(
    "Rows: 1 of 2 rows disagree with the log.",
  );
});
