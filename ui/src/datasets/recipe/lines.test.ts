import { expect, test } from "vitest";
import { lineCount, lineRange } from "./lines";

test("lines are counted from one, an empty last one too", () => {
  expect(["", "a", "a\n", "a\nb\n\n"].map(lineCount)).toEqual([1, 1, 2, 4]);
});

test("a line is found by its number", () => {
  const text = "ab\n\ncd";
  expect([1, 2, 3].map((line) => text.slice(...lineRange(text, line)))).toEqual(["ab", "", "cd"]);
  expect(lineRange(text, 9)).toEqual([6, 6]);
});
