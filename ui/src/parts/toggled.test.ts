import { expect, it } from "vitest";
import { toggled } from "./toggled";

it("puts a value in and takes it out", () => {
  expect(toggled(["a"], "b")).toEqual(["a", "b"]);
  expect(toggled(["a", "b"], "a")).toEqual(["b"]);
});
