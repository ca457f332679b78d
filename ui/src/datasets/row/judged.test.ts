import { expect, test } from "vitest";
import type { Schema } from "../../api/client";
import { said, who } from "./judged";

const ROW = { sources: [{ part: "chosen", node_id: "n1", session_id: "s" }] };
const BASE: Schema["RowJudgement"] = {
  kind: "rating",
  node_id: "n1",
  other_node_id: null,
  name: "rating",
  value: 5,
  scale_low: 1,
  scale_high: 5,
  preference: null,
  source: "human",
  decided_by: "ann",
  given_by: "person",
  categories: [],
  note: "",
  given_at: "2026-01-01T00:00:00Z",
};

test("a value is said with its scale, if it has one", () => {
  expect(said(BASE, ROW)).toBe("5 of 5");
  expect(said({ ...BASE, value: 0.333, scale_high: null }, ROW)).toBe("0.33");
  expect(said({ ...BASE, value: null }, ROW)).toBe("–");
});

test("a preference names the side of this row", () => {
  const pair = { ...BASE, value: null, other_node_id: "n2" };
  expect(said({ ...pair, preference: "a" }, ROW)).toBe("prefers this row's chosen");
  expect(said({ ...pair, preference: "b" }, ROW)).toBe("prefers another answer");
  expect(said({ ...pair, preference: "both_bad" }, ROW)).toBe("both are bad");
});

test("who is hidden stays a person", () => {
  expect(who(BASE)).toBe("ann");
  expect(who({ ...BASE, decided_by: "" })).toBe("a person");
  expect(who({ ...BASE, decided_by: null, given_by: null, source: "client" })).toBe("client");
});
