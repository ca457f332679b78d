import { describe, expect, it } from "vitest";
import { type Answer, baseOf, spreadBar, wordsOf } from "./figures";

describe("answers", () => {
  it("are compared by their words and calls", () => {
    const call = { id: "c1", type: "function", function: { name: "search", arguments: '{"q":"x"}' } };
    expect(wordsOf({ role: "assistant", content: "Let me look.", tool_calls: [call] })).toBe(
      'Let me look.\n\nsearch({"q":"x"})',
    );
    expect(wordsOf(null)).toBe("");
  });
  it("have the original as their base, unless another is chosen", () => {
    const answers = [2, 0, 5].map((branch_index) => ({ branch_index }) as Answer);
    expect(baseOf(answers, "")?.branch_index).toBe(0);
    expect(baseOf(answers, "5")?.branch_index).toBe(5);
    expect(baseOf(answers, "77")?.branch_index).toBe(0);
    expect(baseOf([], "")).toBeUndefined();
  });
});

describe("the bar of a mean with its spread", () => {
  it("stays on its scale", () => {
    expect(spreadBar(50, 25, 100)).toEqual({ mean: 50, from: 25, to: 75 });
    expect(spreadBar(90, 30, 100)).toEqual({ mean: 90, from: 60, to: 100 });
    expect(spreadBar(10, null, 100)).toEqual({ mean: 10, from: 10, to: 10 });
  });
  it("is not drawn for what is not known", () => {
    expect(spreadBar(null, 1, 100)).toBeNull();
    expect(spreadBar(1, 1, 0)).toBeNull();
  });
});
