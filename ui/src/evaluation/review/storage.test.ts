import { expect, test } from "vitest";
import { ApiProblem } from "../../api/problem";
import { isComplete, isEmpty, NOTHING, submissionOf, toggled } from "./answer";
import { added, mayWorkLater, waitBefore, without } from "./outbox";
import { keep, load, nameOf } from "./storage";

function shelf(content: Record<string, string> = {}) {
  return {
    content,
    getItem: (name: string) => content[name] ?? null,
    setItem: (name: string, text: string) => {
      content[name] = text;
    },
    removeItem: (name: string) => {
      delete content[name];
    },
  };
}

const answer = { ...NOTHING, rating: 4, note: "so" };

test("drafts and unsent answers come back, each reviewer's own", () => {
  const there = shelf();
  const outbox = [{ lease: "l", body: submissionOf("unit", answer, 12.34) }];
  keep(there, "ann", { drafts: { l: { answer, seconds: 3, at: 1000 } }, outbox });
  expect(load(there, "ann", 2000)).toEqual({ drafts: { l: { answer, seconds: 3, at: 1000 } }, outbox });
  expect(load(there, "bob", 2000)).toEqual({ drafts: {}, outbox: [] });
});

test("old and damaged drafts are left out", () => {
  const name = nameOf("ann", "work");
  const texts = ["{", "null", '{"drafts": 3, "outbox": {}}', '{"drafts": {"l": null}, "outbox": [null, 3]}'];
  for (const text of texts) {
    expect(load(shelf({ [name]: text }), "ann", 0)).toEqual({ drafts: {}, outbox: [] });
  }
  const there = shelf();
  keep(there, "ann", { drafts: { l: { answer, seconds: 0, at: 0 } }, outbox: [] });
  expect(load(there, "ann", 8 * 86_400_000).drafts).toEqual({});
});

test("a browser without room says so", () => {
  const full = {
    ...shelf(),
    setItem: () => {
      throw new Error("quota");
    },
  };
  expect(keep(full, "ann", { drafts: {}, outbox: [] })).toBe(false);
});

test("an answer is complete by its kind", () => {
  expect([isComplete("unit", answer), isComplete("pair", answer)]).toEqual([true, false]);
  expect([isEmpty(NOTHING), isEmpty({ ...NOTHING, note: "x" })]).toEqual([true, false]);
  expect(toggled(toggled(NOTHING, "a"), "b").categories).toEqual(["a", "b"]);
  expect(toggled({ ...NOTHING, categories: ["a", "b"] }, "a").categories).toEqual(["b"]);
});

test("what is sent holds what its kind needs alone", () => {
  expect(submissionOf("pair", { ...answer, preference: "second" }, 4.44)).toEqual({
    preference: "second",
    categories: [],
    note: "so",
    seconds: 4.4,
  });
  expect(submissionOf("unit", answer, 1e9)).toMatchObject({ rating: 4, seconds: 86_400 });
});

test("what did not arrive is tried again, what was refused is not", () => {
  expect(mayWorkLater(new TypeError("network"))).toBe(true);
  expect([503, 401, 429].every((status) => mayWorkLater(new ApiProblem(status, "", "")))).toBe(true);
  expect([400, 403, 404, 409].some((status) => mayWorkLater(new ApiProblem(status, "", "")))).toBe(false);
  expect([0, 1, 9].map(waitBefore)).toEqual([1000, 2000, 30_000]);
});

test("one lease has one unsent answer", () => {
  const one = { lease: "l", body: submissionOf("unit", answer, 1) };
  const two = { lease: "l", body: submissionOf("unit", { ...answer, rating: 1 }, 1) };
  expect(added([one], two)).toEqual([two]);
  expect(without([one], "l")).toEqual([]);
});
