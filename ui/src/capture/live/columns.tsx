import { Chip } from "../../parts/Chip";
import type { Column } from "../../parts/DataTable";
import { count, taken } from "../../parts/format";
import { type Call, modelOf } from "./calls";
import styles from "./live.module.css";

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const time: Column<Call> = {
  key: "time",
  head: "Stored",
  width: "5.5rem",
  cell: (call) => (
    <time dateTime={call.received_at} title={call.received_at}>
      {CLOCK.format(new Date(call.received_at))}
    </time>
  ),
};
const caller: Column<Call> = {
  key: "caller",
  head: "Caller",
  width: "8rem",
  cell: (call) => (
    <span title={call.task ? `${call.caller}, task ${call.task}` : call.caller}>
      {call.caller}
      {call.step && <span className="soft"> · {call.step}</span>}
    </span>
  ),
};
const model: Column<Call> = {
  key: "model",
  head: "Model",
  width: "8.5rem",
  cell: (call) => (
    <span title={`${modelOf(call)} of ${call.upstream}`}>
      {modelOf(call)}
      {!call.final && <span className="soft"> · attempt {call.attempt}</span>}
    </span>
  ),
};
const purpose: Column<Call> = {
  key: "purpose",
  head: "Purpose",
  width: "6.5rem",
  cell: (call) => call.purpose,
};
const question: Column<Call> = {
  key: "question",
  head: "Question",
  cell: (call) =>
    call.question ? (
      <span className={styles.question} title={call.question}>
        {call.question}
      </span>
    ) : (
      <span className="soft">{call.tool_calls > 0 ? "tool results" : "–"}</span>
    ),
};
const tokens: Column<Call> = {
  key: "tokens",
  head: "Tokens",
  name: "Tokens of prompt and answer",
  width: "6.5rem",
  align: "end",
  cell: (call) =>
    call.prompt_tokens === null && call.completion_tokens === null
      ? "–"
      : `${count(call.prompt_tokens ?? 0)} + ${count(call.completion_tokens ?? 0)}`,
};
const took: Column<Call> = {
  key: "took",
  head: "Took",
  width: "5rem",
  align: "end",
  cell: (call) => taken(call.duration_ms),
};
const status: Column<Call> = {
  key: "status",
  head: "Status",
  width: "5.75rem",
  cell: (call) => (
    <Chip tone={call.outcome === "ok" ? "good" : call.outcome === "cut" ? "warn" : "bad"}>
      {call.outcome === "cut" ? "cut" : call.outcome === "ok" ? "ok" : `error ${call.http_status}`}
    </Chip>
  ),
};

export const COLUMNS: readonly Column<Call>[] = [
  time,
  caller,
  model,
  purpose,
  question,
  tokens,
  took,
  status,
];
/** On phones. */
export const FEW: readonly Column<Call>[] = [time, { ...model, width: "7rem" }, question, status];
