import { expect, test } from "vitest";
import { bytes, counted, duration, figure, measured, modelName, percent, shortId, taken } from "./format";

test("one thing is singular, others are plural", () => {
  expect([0, 1, 1200].map((value) => counted(value, "reply", "replies"))).toEqual([
    "0 replies",
    "1 reply",
    "1,200 replies",
  ]);
});

test("durations grow in unit", () => {
  expect([0.4, 340, 2500, 190_000, 7_260_000, null].map(duration)).toEqual([
    "0 ms",
    "340 ms",
    "2.5 s",
    "3 min 10 s",
    "2 h 1 min",
    "–",
  ]);
});

test("sizes are in binary units", () => {
  expect([0, 1023, 1024, 5 * 1024 ** 3].map(bytes)).toEqual(["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]);
});

test("an unknown figure is a dash, not a zero", () => {
  expect([percent(null), figure(undefined), percent(0), figure(0)]).toEqual(["–", "–", "0 %", "0.00"]);
});

test("ids are cut to what the command line takes", () => {
  expect(shortId("0192f0a1-7b4e-7000-8000-000000000000")).toBe("0192f0a1");
});

test("what was not measured is a dash where nothing takes none", () => {
  expect([measured(0), measured(1234.4), taken(0), taken(null), taken(40)]).toEqual([
    "–",
    "1,234",
    "–",
    "–",
    "40 ms",
  ]);
});

test("models are shown without what pins them", () => {
  expect(["llama@sha256:ab;threads=1", "gpt-4.1", "@odd"].map(modelName)).toEqual([
    "llama",
    "gpt-4.1",
    "@odd",
  ]);
});
