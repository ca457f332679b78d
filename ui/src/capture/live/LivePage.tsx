import { useEffect, useMemo, useState } from "react";
import { useLocation } from "wouter";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { count, duration, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useShortcuts } from "../../parts/shortcuts";
import { useNarrow } from "../../parts/useNarrow";
import { useUrlState } from "../../parts/useUrlState";
import { type Call, edgesOf, figuresOf, modelOf, ratesOf } from "./calls";
import { COLUMNS, FEW } from "./columns";
import styles from "./live.module.css";
import { Rates } from "./Rates";
import { useCalls } from "./useCalls";
import { WhoAsksWhom } from "./WhoAsksWhom";

const STRETCHES = 60;
const SECONDS = 10;
const EXPORTED = [
  "received_at",
  "caller",
  "model",
  "upstream",
  "purpose",
  "question",
  "prompt_tokens",
  "completion_tokens",
  "duration_ms",
  "outcome",
  "http_status",
  "session_id",
  "node_id",
] as const;

/** What is being captured now: how much, who asks whom, and the calls themselves. */
export default function LivePage() {
  const [, go] = useLocation();
  const narrow = useNarrow();
  const [paused, setPaused] = useState(false);
  const [pair, setPair] = useUrlState("pair");
  const [outcome, setOutcome] = useUrlState("outcome");
  const { calls, waiting, loaded, connection, error } = useCalls(paused);
  const now = useNow(paused);
  const edges = useMemo(() => edgesOf(calls), [calls]);
  const shown = useMemo(
    () =>
      calls.filter(
        (call) =>
          (pair === "" || pair === `${call.caller}\n${modelOf(call)}`) &&
          (outcome === "" || call.outcome !== "ok"),
      ),
    [calls, pair, outcome],
  );
  useShortcuts("Live", [{ keys: "p", does: "Pause, or continue", run: () => setPaused((was) => !was) }]);
  const figures = figuresOf(calls, now, 60);
  const open = (call: Call) => {
    if (call.node_id) go(`/nodes/${call.node_id}`);
    else if (call.session_id) go(`/sessions/${call.session_id}`);
  };

  return (
    <Page
      title="Live"
      full={!narrow && calls.length > 0}
      about={<State paused={paused} waiting={waiting} connection={connection} loaded={loaded} />}
      actions={
        <>
          <Button kind={paused ? "primary" : "normal"} onClick={() => setPaused(!paused)}>
            {paused ? "Go on" : "Pause"}
          </Button>
          <ExportButtons name="live-calls" columns={EXPORTED} rows={() => shown.map(exported)} />
        </>
      }
    >
      {error ? (
        <Failed error={error} />
      ) : !loaded ? (
        <Loading what="calls" />
      ) : calls.length === 0 ? (
        <Empty title="No call was captured yet">
          Point a client at the gateway: its calls appear here within a second or two.
        </Empty>
      ) : (
        <>
          <div className={styles.top}>
            <dl className={styles.figures}>
              <Figure name="calls in a minute" value={count(figures.calls)} />
              <Figure name="tokens in a minute" value={count(figures.tokens)} />
              <Figure name="median" value={duration(figures.median)} />
              <Figure
                name="failed"
                value={figures.calls > 0 ? percent(figures.errors / figures.calls) : "–"}
                bad={figures.errors > 0}
              />
            </dl>
            <figure className={styles.history}>
              <Rates rates={ratesOf(calls, now, STRETCHES, SECONDS)} seconds={SECONDS} />
              <figcaption className="soft">calls in the last {(STRETCHES * SECONDS) / 60} minutes</figcaption>
            </figure>
          </div>
          <WhoAsksWhom edges={edges} selected={pair} onSelect={setPair} />
          <div className={styles.filters}>
            <h2>Calls</h2>
            <label>
              <input
                type="checkbox"
                checked={outcome !== ""}
                onChange={(event) => setOutcome(event.target.checked ? "failed" : "")}
              />{" "}
              only failed or cut
            </label>
            {pair && (
              <Button icon="close" onClick={() => setPair("")}>
                {pair.replace("\n", " → ")}
              </Button>
            )}
            <span className="soft">
              {count(shown.length)} of the latest {count(calls.length)}
            </span>
          </div>
          {shown.length === 0 ? (
            <Empty title="No such call among the latest">Remove a filter to see others.</Empty>
          ) : (
            <DataTable
              label="Calls, the newest first"
              columns={narrow ? FEW : COLUMNS}
              rows={narrow ? shown.slice(0, 60) : shown}
              rowKey={(call) => call.event_id}
              onOpen={open}
              minWidth={narrow ? "34rem" : "64rem"}
              fill={!narrow}
            />
          )}
        </>
      )}
    </Page>
  );
}

function State(props: { paused: boolean; waiting: number; connection: string; loaded: boolean }) {
  const { paused, waiting, connection, loaded } = props;
  const word = paused ? "paused" : !loaded || connection === "connecting" ? "connecting" : connection;
  const tone = word === "open" ? "good" : word === "lost" ? "bad" : "plain";
  return (
    <span className={styles.state}>
      <Chip tone={tone}>
        {word === "open" ? "live" : word === "lost" ? "connection lost, trying again" : word}
      </Chip>
      {paused && <span aria-live="polite">{waiting > 0 ? `${count(waiting)} new` : "nothing new"}</span>}
    </span>
  );
}

function Figure({ name, value, bad = false }: { name: string; value: string; bad?: boolean }) {
  return (
    <div className={bad ? styles.bad : undefined}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** The time, each two seconds; it stands while paused. */
function useNow(paused: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (paused) return;
    const timer = setInterval(() => setNow(Date.now()), 2000);
    return () => clearInterval(timer);
  }, [paused]);
  return now;
}

function exported(call: Call) {
  return Object.fromEntries(EXPORTED.map((name) => [name, call[name]]));
}
