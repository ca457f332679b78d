import { expect, test } from "vitest";
import { ACTIONS, DEFAULT_KEYS, DOES, fromStored, refusal, remapped, toStored } from "./keymap";

test("no two actions share a key, and each says what it does", () => {
  const keys = ACTIONS.flatMap((action) => DEFAULT_KEYS[action]);
  expect(new Set(keys).size).toBe(keys.length);
  expect(ACTIONS.every((action) => DOES[action].length > 0)).toBe(true);
});

test("a key that is taken is refused with the name of what it does", () => {
  expect(refusal(DEFAULT_KEYS, "skip", "a")).toContain("A is better");
  expect(() => remapped(DEFAULT_KEYS, "skip", "a")).toThrow("A is better");
  expect(refusal(DEFAULT_KEYS, "skip", "s")).toBeNull();
});

test("numbers, the sheet and keys with AltGr cannot be given away", () => {
  for (const key of ["1", "9", "?", "Tab", ""]) expect(refusal(DEFAULT_KEYS, "skip", key)).not.toBeNull();
});

test("what works while writing is no character", () => {
  expect(refusal(DEFAULT_KEYS, "submit", "y")).toContain("comment");
  expect(refusal(DEFAULT_KEYS, "submit", "Ctrl+s")).toBeNull();
});

test("changed keys survive, and reset is nothing stored", () => {
  const keys = remapped(remapped(DEFAULT_KEYS, "first", "h"), "second", "l");
  expect(fromStored(toStored(keys))).toEqual(keys);
  expect(toStored(DEFAULT_KEYS)).toBe("{}");
  expect(fromStored(null)).toEqual(DEFAULT_KEYS);
});

test("two actions can change places", () => {
  const freed = { ...DEFAULT_KEYS, first: [], second: ["a"] };
  const keys = { ...freed, first: ["b"] };
  expect(fromStored(toStored(keys))).toEqual(keys);
});

test("what was damaged is left out", () => {
  expect(fromStored("{")).toEqual(DEFAULT_KEYS);
  expect(fromStored('{"first": ["1"], "nothing": ["q"], "skip": 3}')).toEqual(DEFAULT_KEYS);
  expect(fromStored('{"skip": ["a"]}').skip).toEqual(["s"]);
  expect(fromStored("null")).toEqual(DEFAULT_KEYS);
});
