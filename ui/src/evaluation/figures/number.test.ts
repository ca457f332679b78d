import { expect, test } from "vitest";
import { signed } from "./number";

test("a minus is a minus, and zero has none", () => {
  expect([-0.001, -0.25, 0, 0.5, null].map((value) => signed(value))).toEqual([
    "0.00",
    "−0.25",
    "0.00",
    "0.50",
    "–",
  ]);
});
