import { expect, it } from "vitest";
import { historyOf, messageOf, type SnapshotData } from "./data";
import { nodesHolding } from "./searching";

const DATA = {
  words: {
    result: [0, 0, 0],
    asked: [null, "hi", "more"],
    answer: [null, "hello", null],
    called: [null, null, null],
  },
  contexts: { parent: [-1, 0, 1], message: [0, 1, 2] },
  asked: [-1, 0, 2],
  answered: [-1, 1, -1],
  messages: [{ role: "user", content: "hi" }, { role: "assistant", content: "hello there" }, null],
} as unknown as SnapshotData;

it("gives histories from the first message to the last", () => {
  expect(historyOf(DATA, 1)).toEqual([{ role: "user", content: "hi" }]);
  expect(historyOf(DATA, 2)).toHaveLength(3);
  expect(historyOf(DATA, 0)).toEqual([]);
});

it("says which messages the file leaves out", () => {
  expect(messageOf(DATA, 2)).toMatchObject({ content: expect.stringContaining("left out") });
  expect(messageOf(DATA, -1)).toBeNull();
});

it("finds words anywhere in a turn", () => {
  expect(nodesHolding(DATA, "THERE")).toEqual([1]);
  expect(nodesHolding(DATA, "nowhere")).toEqual([]);
});
