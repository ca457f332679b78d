import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { api } from "../../api/client";
import { useEvents } from "../../api/events";
import { Chip } from "../../parts/Chip";
import { Failed } from "../../parts/Failed";
import { Figures } from "../../parts/Figures";
import { count, duration, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { Tabs } from "../../parts/Tabs";
import { Time } from "../../parts/Time";
import { useUrlState } from "../../parts/useUrlState";
import type { PageProps } from "../../shell/page";
import { useIsAdmin } from "../../shell/session";
import { Failures } from "./Failures";
import { JobsBar } from "./JobsBar";
import { JobsTable } from "./JobsTable";
import { PlanActions } from "./PlanActions";
import styles from "./plan.module.css";
import { Results } from "./Results";
import { counts, explanation, isAlive, type Progress, rate, secondsLeft, standing } from "./state";
import { VariantsTable } from "./VariantsTable";

const CALM = 800; // milliseconds between two looks at the whole plan while figures come by themselves

/** A plan of replays while it runs and after: progress, variants, results, failures and jobs. */
export default function PlanPage({ params }: PageProps) {
  const id = params.id ?? "";
  const admin = useIsAdmin();
  const [tab, setTab] = useUrlState("tab", "results");
  const key = { params: { path: { id }, query: { limit: 1 } } };
  const { data, error, refetch } = api.useQuery("get", "/api/replays/{id}", key);
  const reload = useCalm(() => void refetch(), CALM);
  const cache = useQueryClient();
  const options = api.queryOptions("get", "/api/replays/{id}", key);
  const show = (figures: Progress) => {
    cache.setQueryData(options.queryKey, (old) => (old ? { ...old, ...figures } : old));
    reload();
  };
  const alive = data !== undefined && isAlive(data);
  useEvents(alive ? `/api/replays/${data.plan_id}/events` : null, {
    progress: show,
    end: (figures: Progress) => {
      show(figures);
      void cache.invalidateQueries({ queryKey: ["get", "/api/compare/{id}"] });
    },
  });
  if (error && !data)
    return (
      <Page title="Replay" crumbs={[{ label: "Replays", href: "/replays" }]}>
        <Failed error={error} retry={() => void refetch()} />
      </Page>
    );
  if (!data) return <Loading what="replay" />;
  const { label, tone } = standing(data);
  const title = data.name || `Replay ${shortId(data.plan_id)}`;
  const why = explanation(data);
  const found = counts(data);
  const speed = rate(data);
  const left = secondsLeft(data);
  return (
    <Page
      title={title}
      crumbs={[{ label: "Replays", href: "/replays" }]}
      actions={admin && <PlanActions plan={data} onChanged={() => void refetch()} />}
    >
      <section className={styles.head} aria-label="Progress" aria-live="polite">
        <Chip tone={tone}>{label}</Chip>
        <JobsBar {...found} wide />
        <span className="soft">
          {data.state === "running" && left !== null && found.left > 0 ? (
            `about ${duration(left * 1000)} left`
          ) : (
            <Time at={data.ended_at ?? data.started_at ?? data.created_at} />
          )}
        </span>
      </section>
      {why && <p className={data.stopped === "error" || data.error ? styles.bad : styles.note}>{why}</p>}
      <Figures
        figures={[
          { label: "Calls", value: count(found.jobs) },
          { label: "Contexts", value: count(data.nodes) },
          {
            label: "Answered before",
            value: count(data.skipped),
            title: "answers that an earlier replay had got",
          },
          { label: "At once", value: count(data.concurrency) },
          {
            label: "Prompts",
            value: count(data.prompt_tokens),
            title: `tokens, ${count(data.cached_tokens)} of them from a cache`,
          },
          { label: "Answers", value: count(data.completion_tokens), title: "tokens" },
          { label: "Tokens a second", value: speed === null ? "–" : count(Math.round(speed)) },
        ]}
      />
      <VariantsTable plan={data} />
      <Tabs
        label="Details"
        selected={tab}
        onSelect={setTab}
        tabs={[
          { key: "results", label: "Results", content: <Results plan={data} /> },
          {
            key: "failures",
            label: found.failed > 0 ? `Failures (${count(found.failed)})` : "Failures",
            content: <Failures plan={data} />,
          },
          {
            key: "jobs",
            label: `Calls (${count(found.jobs)})`,
            content: <JobsTable plan={data} alive={alive} />,
          },
        ]}
      />
    </Page>
  );
}

/** A function that runs at most once in so many milliseconds, and at last after its last call. */
function useCalm(run: () => void, milliseconds: number): () => void {
  const current = useRef(run);
  current.current = run;
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      current.current();
    }, milliseconds);
  }, [milliseconds]);
}
