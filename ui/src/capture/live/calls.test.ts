import { describe, expect, test } from "vitest";
import { type Call, edgesOf, figuresOf, layoutOf, ratesOf, withCalls } from "./calls";

const NOW = Date.parse("2026-01-01T12:00:00Z");

function call(seq: number, more: Partial<Call> = {}): Call {
  return {
    seq,
    event_id: `e${seq}`,
    received_at: new Date(NOW - 1000).toISOString(),
    duration_ms: 100,
    caller: "client",
    caller_kind: "client",
    model: "m",
    upstream: "local",
    outcome: "ok",
    prompt_tokens: 7,
    completion_tokens: null,
    ...more,
  } as Call;
}

describe("kept calls", () => {
  test("are each kept once, the newest first", () => {
    const kept = withCalls([call(3), call(1)], [call(2), call(3), call(4)]);
    expect(kept.map((each) => each.seq)).toEqual([4, 3, 2, 1]);
  });
  test("are as many as fit", () => {
    expect(withCalls([call(2), call(1)], [call(3)], 2).map((each) => each.seq)).toEqual([3, 2]);
  });
  test("are the same list when nothing is new", () => {
    const kept = [call(1)];
    expect(withCalls(kept, [call(1)])).toBe(kept);
  });
});

describe("who asks whom", () => {
  test("is counted by caller and model", () => {
    const edges = edgesOf([
      call(1),
      call(2, { outcome: "error", duration_ms: 300 }),
      call(3, { caller: "orchestrator", model: "" }),
    ]);
    expect(
      edges.map(({ caller, model, calls, errors, tokens, mean }) => [
        caller,
        model,
        calls,
        errors,
        tokens,
        mean,
      ]),
    ).toEqual([
      ["client", "m", 2, 1, 14, 200],
      ["orchestrator", "local", 1, 0, 7, 100],
    ]);
  });
  test("is drawn as lines between two columns", () => {
    const { callers, models, lines, height, hidden } = layoutOf(
      edgesOf([call(1), call(2), call(3, { model: "n", outcome: "cut" })]),
      20,
    );
    expect([callers.length, models.map((each) => each.name), height, hidden]).toEqual([1, ["m", "n"], 40, 0]);
    expect(lines.map((each) => [each.from, each.to, each.failed])).toEqual([
      [10, 10, false],
      [10, 30, true],
    ]);
    expect(lines[0]?.width).toBeGreaterThan(lines[1]?.width ?? 9);
  });
  test("leaves out what has no room", () => {
    const edges = edgesOf([call(1), call(2, { model: "n" }), call(3, { model: "o" })]);
    expect(layoutOf(edges, 20, 2).hidden).toBe(1);
  });
});

describe("rates", () => {
  test("are counted per stretch, the last one ends now", () => {
    const at = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();
    const calls = [0, 5, 15, 25, 500, -3].map((ago, place) => call(place, { received_at: at(ago) }));
    expect(ratesOf(calls, NOW, 3, 10)).toEqual([1, 1, 3]);
  });
  test("say how much there was, how much failed and the median", () => {
    const calls = [call(1), call(2, { outcome: "cut", duration_ms: 500 }), call(3, { duration_ms: 900 })];
    expect(figuresOf(calls, NOW, 60)).toEqual({ calls: 3, errors: 1, tokens: 21, median: 500 });
    expect(figuresOf([], NOW, 60)).toEqual({ calls: 0, errors: 0, tokens: 0, median: null });
  });
});
