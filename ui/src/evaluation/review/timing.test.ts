import { expect, test } from "vitest";
import { elapsed, IDLE, pace, paused, started, stopped, touched } from "./timing";

test("time counts while it runs, and again after a pause", () => {
  let watch = started(stopped(), 1000);
  watch = paused(watch, 3000);
  expect(elapsed(watch, 90_000)).toBe(2000);
  watch = started(watch, 90_000);
  expect(elapsed(watch, 91_500)).toBe(3500);
});

test("time without any input does not count beyond a minute", () => {
  let watch = started(stopped(), 0);
  watch = touched(watch, 5000);
  expect(elapsed(watch, 1_000_000)).toBe(5000 + IDLE);
  watch = touched(watch, 1_000_000); // back again
  expect(elapsed(watch, 1_001_000)).toBe(5000 + IDLE + 1000);
});

test("starting twice does not lose time, and input while stopped starts nothing", () => {
  const watch = started(stopped(), 100);
  expect(started(watch, 900)).toBe(watch);
  expect(touched(stopped(7), 100)).toEqual(stopped(7));
});

test("the pace needs a few items", () => {
  expect(pace(2, 10_000)).toBeNull();
  expect(pace(10, 60_000)).toBe(600);
});
