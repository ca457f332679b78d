import type { Schema } from "../../api/client";
import type { Tone } from "../../parts/Chip";

export type Progress = Schema["Progress"];

const STATES: Readonly<Record<string, { label: string; tone: Tone }>> = {
  planned: { label: "Waiting to start", tone: "plain" },
  running: { label: "Running", tone: "info" },
  done: { label: "Done", tone: "good" },
  failed: { label: "Ended with failures", tone: "bad" },
  interrupted: { label: "Interrupted", tone: "warn" },
};
const STOPPED: Readonly<Record<string, { label: string; tone: Tone }>> = {
  cancelled: { label: "Cancelled", tone: "warn" },
  budget: { label: "Budget spent", tone: "warn" },
  shutdown: { label: "Stopped with the server", tone: "warn" },
  error: { label: "Stopped by an error", tone: "bad" },
};

type Standing = Pick<Progress, "state" | "stopped" | "cancel_requested_at">;

/** The state of a plan in words. */
export function standing(plan: Standing): { label: string; tone: Tone } {
  if (plan.state === "running" && plan.cancel_requested_at) return { label: "Cancelling", tone: "warn" };
  const stopped = plan.state === "stopped" ? STOPPED[plan.stopped] : undefined;
  return stopped ?? STATES[plan.state] ?? { label: plan.state, tone: "plain" };
}

/** What explains a plan that has not gone to its end, and what to do. */
export function explanation(plan: Standing & Pick<Progress, "error">): string {
  if (plan.state === "interrupted")
    return "The process that ran it ended. What was answered is kept: resuming it asks only the rest.";
  if (plan.state !== "stopped") return plan.error;
  if (plan.stopped === "budget") return "It reached its budget. Resume it with a larger one to ask the rest.";
  if (plan.stopped === "cancelled") return "No more calls were started. Resuming it asks the rest.";
  if (plan.stopped === "shutdown") return "The server was stopped while it ran. Resuming it asks the rest.";
  return plan.error;
}

export type Counts = { done: number; failed: number; left: number; jobs: number };

/** Jobs that have an answer, that failed, and that are left: a job that runs is left as long as nothing came of it. */
export function counts(plan: Pick<Progress, "jobs" | "done" | "skipped" | "failed">): Counts {
  const done = plan.done + plan.skipped;
  return { done, failed: plan.failed, left: plan.jobs - done - plan.failed, jobs: plan.jobs };
}

/** Whether more comes of a plan without anybody doing anything. */
export function isAlive(plan: Pick<Progress, "state">): boolean {
  return plan.state === "running" || plan.state === "planned";
}

/** Whether the rest of a plan can be run now. */
export function canResume(plan: Standing & Parameters<typeof counts>[0]): boolean {
  const { left, failed } = counts(plan);
  return plan.state !== "running" && left + failed > 0;
}

/** Tokens of answers a second since the latest start; null before the first. */
export function rate(
  plan: Pick<Progress, "started_at" | "last_ended_at" | "completion_tokens_now">,
): number | null {
  if (!plan.started_at || !plan.last_ended_at) return null;
  const seconds = (Date.parse(plan.last_ended_at) - Date.parse(plan.started_at)) / 1000;
  return seconds > 0 ? plan.completion_tokens_now / seconds : null;
}

/** Seconds until the rest is answered, as fast as until now; null where that cannot be told. */
export function secondsLeft(
  plan: Pick<Progress, "started_at" | "last_ended_at" | "ended_now"> & Parameters<typeof counts>[0],
): number | null {
  if (!plan.started_at || !plan.last_ended_at || plan.ended_now === 0) return null;
  const seconds = (Date.parse(plan.last_ended_at) - Date.parse(plan.started_at)) / 1000;
  return seconds > 0 ? (counts(plan).left * seconds) / plan.ended_now : null;
}
