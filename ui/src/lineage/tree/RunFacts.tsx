import type { ReactNode } from "react";
import type { Schema } from "../../api/client";
import { count, duration, percent } from "../../parts/format";
import { Time } from "../../parts/Time";
import styles from "./TurnPanel.module.css";

/** The facts of a run: model, sampling, usage, times, and where a replay first left its record. */
export function RunFacts({ run }: { run: Schema["Run"] }) {
  const facts: [string, ReactNode][] = [
    ["Model", run.model],
    [
      "Build of it",
      run.model_snapshot_id && run.model_snapshot_id !== run.model ? run.model_snapshot_id : null,
    ],
    ["Server", run.backend],
    ["Purpose", run.purpose],
    ["Task", run.task_key],
    ["At", <Time key="at" at={run.started_at} full />],
    ["First byte", run.first_byte_ms === null ? null : duration(run.first_byte_ms)],
    ["Whole answer", duration(run.duration_ms)],
    ["Tokens in", amount(run.prompt_tokens, run.cached_tokens)],
    ["Tokens out", amount(run.completion_tokens)],
    ["Ended by", run.finish_reason],
    ["Sampling", pairs(run.sampling)],
    ["Variant", pairs(run.variant)],
    ["Tool results from the record", run.fidelity === null ? null : percent(run.fidelity)],
    ["First difference", pairs(run.first_divergence)],
    ["Other context", run.same_context === false ? "its context differs from the anchor's" : null],
    ["Other tools", run.same_tools === false ? "its tools differ from the anchor's" : null],
    ["Error", pairs(run.error)],
  ];
  return (
    <dl className={styles.facts}>
      {facts
        .filter(([, value]) => value !== null && value !== "" && value !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function amount(tokens: number | null, cached: number | null = null): string | null {
  if (tokens === null) return null;
  return cached ? `${count(tokens)}, of them ${count(cached)} cached` : count(tokens);
}

/** A small JSON object as `name value` pairs; null where there is nothing in it. */
function pairs(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value !== "object" || Array.isArray(value)) return shown(value);
  const entries = Object.entries(value);
  return entries.length > 0 ? entries.map(([name, each]) => `${name} ${shown(each)}`).join(", ") : null;
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length > 300 ? `${text.slice(0, 299)}…` : text;
}
