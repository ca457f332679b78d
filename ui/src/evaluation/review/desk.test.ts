import { expect, test } from "vitest";
import { type Item, NOTHING } from "./answer";
import {
  AHEAD,
  after,
  current,
  type Desk,
  EMPTY,
  type Event,
  judged,
  troubled,
  undoable,
  wanted,
} from "./desk";

function item(name: string, kind = "pair"): Item {
  return {
    lease_id: name,
    item_id: `item ${name}`,
    kind: kind as Item["kind"],
    theme: "",
    cluster_id: null,
    category: null,
    expires_at: "2026-01-01T00:00:00Z",
    flagged: false,
    draft: null,
    history: [],
    answers: [],
    history_text: "",
    answer_texts: [],
  };
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);

function claim(desk: Desk, leases: string[], more: Partial<Extract<Event, { type: "claimed" }>> = {}): Desk {
  const there = new Set(desk.entries.map((entry) => entry.item.lease_id));
  const items = leases.filter((lease) => !there.has(lease)).map((lease) => item(lease));
  const asked = wanted(desk) ?? { limit: 6, known: [] };
  return after(desk, { type: "claimed", items, leases, asked, ...more });
}

const start = (count = 6) => claim(EMPTY, names(count));

function judge(desk: Desk, lease: string): Desk {
  const answered = after(desk, {
    type: "answered",
    lease,
    answer: { ...NOTHING, preference: "first" },
  });
  return after(answered, { type: "submitted", lease });
}

test("an answer moves on at once and is saved later", () => {
  let desk = judge(start(), "0");
  expect([current(desk)?.item.lease_id, desk.entries[0]?.phase]).toEqual(["1", "saving"]);
  desk = after(desk, { type: "saved", lease: "0", revealed: [] });
  expect([desk.entries[0]?.phase, judged(desk)]).toEqual(["saved", 1]);
});

test("an incomplete answer goes nowhere", () => {
  const desk = start();
  expect(after(desk, { type: "submitted", lease: "0" })).toBe(desk);
});

test("an answer that did not arrive is kept and named, and saved when it arrives", () => {
  let desk = judge(start(), "0");
  desk = after(desk, { type: "failed", lease: "0", problem: "no network", again: true });
  expect(troubled(desk).map((entry) => [entry.phase, entry.answer.preference])).toEqual([
    ["unsaved", "first"],
  ]);
  expect(judged(desk)).toBe(0);
  desk = after(desk, { type: "saved", lease: "0", revealed: [] });
  expect(troubled(desk)).toEqual([]);
});

test("a refused answer is rolled back: it can be changed, and cannot be undone", () => {
  let desk = judge(start(), "0");
  desk = after(desk, { type: "failed", lease: "0", problem: "erased", again: false });
  expect(desk.entries[0]).toMatchObject({
    phase: "refused",
    problem: "erased",
    answer: { preference: "first" },
  });
  expect(undoable(desk)).toBeNull();
  expect(current(desk)?.item.lease_id).toBe("1");
  desk = judge(after(desk, { type: "went", lease: "0" }), "0");
  expect(desk.entries[0]?.phase).toBe("saving");
});

test("undo takes back in the reverse order and shows the item with its answer", () => {
  let desk = judge(judge(start(), "0"), "1");
  desk = after(desk, { type: "skipping", lease: "2" });
  expect([undoable(desk)?.item.lease_id, current(desk)?.item.lease_id]).toEqual(["2", "3"]);
  desk = after(desk, { type: "reopened", lease: "2", item: null });
  expect([undoable(desk)?.item.lease_id, current(desk)?.item.lease_id]).toEqual(["1", "2"]);
  desk = after(desk, { type: "reopened", lease: "1", item: item("1") });
  expect(current(desk)).toMatchObject({ phase: "open", answer: { preference: "first" } });
});

test("what was done before the page was opened comes back as an item at the present place", () => {
  const before = { ...item("old"), draft: { preference: "second" as const, note: "", categories: [] } };
  const desk = after(start(), { type: "reopened", lease: "old", item: before });
  expect(current(desk)).toMatchObject({ item: { lease_id: "old" }, answer: { preference: "second" } });
  expect(desk.entries[1]?.item.lease_id).toBe("0");
});

test("items are asked for when few are ahead, several at once, those on their way counted", () => {
  expect(wanted(EMPTY)).toEqual({ limit: AHEAD + 1, known: [] });
  let desk = start(6);
  expect(wanted(desk)).toBeNull();
  desk = judge(judge(desk, "0"), "1");
  expect(wanted(desk)).toBeNull();
  desk = judge(desk, "2");
  expect(wanted(desk)).toEqual({ limit: AHEAD + 1 + 3, known: names(6) });
});

test("items that were passed over do not stop new ones", () => {
  const desk = after(start(6), { type: "moved", by: 3 });
  expect(wanted(desk)?.limit).toBe(AHEAD + 1 + 3);
});

test("the end of the queue is known, and known again when more was queued", () => {
  let desk = claim(start(2), names(2));
  expect([desk.exhausted, wanted(desk)]).toEqual([true, null]);
  desk = judge(judge(desk, "0"), "1");
  expect(current(desk)).toBeUndefined();
  desk = claim({ ...desk, exhausted: false }, ["8"]);
  expect(current(desk)?.item.lease_id).toBe("8");
});

test("the last item leads back to one that was passed over", () => {
  const desk = judge(after(start(3), { type: "moved", by: 2 }), "2");
  expect(current(desk)?.item.lease_id).toBe("0");
});

test("a hold that ran out is said, and the answer stays", () => {
  const typed = after(start(3), { type: "answered", lease: "0", answer: { ...NOTHING, note: "hm" } });
  const desk = claim(typed, ["1", "2", "7"]);
  expect(desk.entries[0]).toMatchObject({ lost: true, answer: { note: "hm" } });
  expect(desk.entries.map((entry) => entry.item.lease_id)).toEqual(["0", "1", "2", "7"]);
  expect(judge(desk, "0").entries[0]?.phase).toBe("saving");
});

test("a claim that crossed an answer on its way gives no item twice", () => {
  const desk = judge(start(2), "0");
  const again = after(desk, {
    type: "claimed",
    items: [item("0"), item("5")],
    leases: ["0", "1", "5"],
    asked: { limit: 7, known: ["1"] },
  });
  expect(again.entries.map((entry) => entry.item.lease_id)).toEqual(["0", "1", "5"]);
  expect(again.entries[0]?.phase).toBe("saving");
});

test("drafts of the browser come before those of the server", () => {
  const drafts = { "0": { ...NOTHING, note: "mine" } };
  const desk = claim(EMPTY, ["0"], { drafts });
  expect(current(desk)?.answer.note).toBe("mine");
});

test("moving stays within the items", () => {
  expect(after(EMPTY, { type: "moved", by: 1 })).toBe(EMPTY);
  expect(after(start(2), { type: "moved", by: 9 }).at).toBe(1);
  expect(after(start(2), { type: "moved", by: -9 }).at).toBe(0);
});

test("an item that is given again keeps what was said, also where A and B changed places", () => {
  const pair = (lease: string, texts: string[]) => ({ ...item(lease), item_id: "same", answer_texts: texts });
  const asked = { limit: 6, known: [] };
  const start = after(EMPTY, { type: "claimed", items: [pair("1", ["x", "y"])], leases: ["1"], asked });
  const said = after(start, {
    type: "answered",
    lease: "1",
    answer: { ...NOTHING, preference: "first", note: "hm" },
  });
  const lost = after(said, { type: "lost", lease: "1" });
  const same = after(lost, { type: "claimed", items: [pair("2", ["x", "y"])], leases: ["2"], asked });
  expect(same.entries).toHaveLength(1);
  expect(current(same)).toMatchObject({
    lost: false,
    again: "same",
    answer: { preference: "first", note: "hm" },
  });
  const turned = after(lost, { type: "claimed", items: [pair("3", ["y", "x"])], leases: ["3"], asked });
  expect(current(turned)).toMatchObject({ again: "turned", answer: { preference: "second", note: "hm" } });
  expect(current(turned)?.item.lease_id).toBe("3");
});

test("what ran out does not count as fetched ahead", () => {
  let desk = start(6);
  for (const lease of names(6)) desk = after(desk, { type: "lost", lease });
  expect(wanted(desk)).toEqual({ limit: AHEAD + 1, known: [] });
});
