import { expect, test } from "vitest";
import { toCsv, toJsonl } from "./export";

test("quotes, commas and line ends survive CSV", () => {
  expect(toCsv(["a", "b"], [{ a: 'say "hi", twice', b: "one\ntwo" }])).toBe(
    'a,b\r\n"say ""hi"", twice","one\ntwo"\r\n',
  );
});

test("a spreadsheet runs nothing of what a message says, and numbers stay numbers", () => {
  expect(toCsv(["a", "b"], [{ a: "=HYPERLINK(1)", b: -3 }])).toBe("a,b\r\n'=HYPERLINK(1),-3\r\n");
});

test("what is unknown is empty", () => {
  expect(toCsv(["a", "b"], [{ a: null }])).toBe("a,b\r\n,\r\n");
});

test("JSON Lines keep values as they are", () => {
  expect(toJsonl([{ a: "=1", b: ["x", "y"] }, { a: null }])).toBe('{"a":"=1","b":["x","y"]}\n{"a":null}\n');
});
