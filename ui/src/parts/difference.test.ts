import { expect, test } from "vitest";
import { differenceOf } from "./difference";

const join = (text: string, change: string) => ({ text, change });

test("changed words are named, the rest stays", () => {
  expect(differenceOf("the red house", "the blue house")).toEqual([
    join("the ", "same"),
    join("red", "gone"),
    join("blue", "new"),
    join(" house", "same"),
  ]);
});

test("both texts can be read back whole", () => {
  const [before, after] = ["a b c\nd", "a x c\n\nd e"];
  const pieces = differenceOf(before, after);
  const without = (change: string) =>
    pieces
      .filter((piece) => piece.change !== change)
      .map((piece) => piece.text)
      .join("");
  expect([without("new"), without("gone")]).toEqual([before, after]);
});

test("long texts without anything in common are not compared for ever", () => {
  const before = Array.from({ length: 30_000 }, (_, i) => `a${i}`).join("\n");
  const after = Array.from({ length: 30_000 }, (_, i) => `b${i}`).join("\n");
  expect(differenceOf(before, after).map((piece) => piece.change)).toEqual(["gone", "new"]);
});

test("equal and empty texts", () => {
  expect(differenceOf("", "")).toEqual([]);
  expect(differenceOf("same", "same")).toEqual([join("same", "same")]);
});
