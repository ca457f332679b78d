import { expect, test } from "vitest";
import { placesIn } from "./find";

test("all places are found, whatever the case", () => {
  expect(placesIn(["Red and red", "blue", "RED"], "red")).toEqual([[0, 8], [], [0]]);
});

test("nothing is found of nothing, and no more than asked", () => {
  expect(placesIn(["aaa"], "")).toEqual([[]]);
  expect(placesIn(["aaaa", "aa"], "a", 5)).toEqual([[0, 1, 2, 3], [0]]);
});

test("regular expressions are plain text", () => {
  expect(placesIn(["a.c abc"], "a.c")).toEqual([[0]]);
});
