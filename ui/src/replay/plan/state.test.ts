import { describe, expect, it } from "vitest";
import { canResume, counts, explanation, rate, secondsLeft, standing } from "./state";

const PLAN = {
  state: "running",
  stopped: "",
  error: "",
  cancel_requested_at: null,
  jobs: 10,
  done: 3,
  skipped: 1,
  failed: 2,
  started_at: "2026-01-01T00:00:00Z",
  last_ended_at: "2026-01-01T00:00:10Z",
  completion_tokens_now: 500,
  ended_now: 5,
};

describe("a plan", () => {
  it("is told by its state and by what stopped it", () => {
    expect(standing(PLAN).label).toBe("Running");
    expect(standing({ ...PLAN, cancel_requested_at: "2026-01-01T00:00:05Z" }).label).toBe("Cancelling");
    expect(standing({ ...PLAN, state: "stopped", stopped: "cancelled" }).label).toBe("Cancelled");
    expect(standing({ ...PLAN, state: "stopped", stopped: "elsewhere" }).label).toBe("stopped");
  });
  it("counts what an earlier plan answered as done, and what runs as left", () => {
    expect(counts(PLAN)).toEqual({ done: 4, failed: 2, left: 4, jobs: 10 });
  });
  it("can be resumed where it does not run and something is left or failed", () => {
    expect(canResume(PLAN)).toBe(false);
    expect(canResume({ ...PLAN, state: "interrupted" })).toBe(true);
    expect(canResume({ ...PLAN, state: "done", done: 9, failed: 0 })).toBe(false);
    expect(canResume({ ...PLAN, state: "failed", done: 8, failed: 1 })).toBe(true);
  });
  it("says what to do when it stopped", () => {
    expect(explanation({ ...PLAN, state: "stopped", stopped: "error", error: "No key." })).toBe("No key.");
    expect(explanation({ ...PLAN, state: "interrupted" })).toContain("only the rest");
  });
  it("has a speed once a job has ended", () => {
    expect(rate(PLAN)).toBe(50);
    expect(secondsLeft(PLAN)).toBe(8);
    expect(rate({ ...PLAN, last_ended_at: null })).toBeNull();
  });
});
