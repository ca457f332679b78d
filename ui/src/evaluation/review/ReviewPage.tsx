import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo, useRef, useState } from "react";
import { Link } from "wouter";
import { api } from "../../api/client";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useUrlState } from "../../parts/useUrlState";
import { useMe } from "../../shell/session";
import { ProgressStrip } from "./ProgressStrip";
import styles from "./ReviewPage.module.css";
import { Station } from "./Station";
import type { Filter } from "./useDesk";

/** Judge items of the review queue, blind, by keyboard. */
export default function ReviewPage() {
  const [kindText, setKind] = useUrlState("kind", "pair");
  const [theme, setTheme] = useUrlState("theme");
  const [session] = useUrlState("session");
  const [cluster] = useUrlState("cluster");
  const [category] = useUrlState("category");
  const kind = kindText === "unit" ? "unit" : "pair";
  const filter = useMemo<Filter>(() => {
    const some = Object.entries({ theme, session, cluster, category }).filter(([, value]) => value);
    return { kind, ...Object.fromEntries(some) };
  }, [kind, theme, session, cluster, category]);

  const who = useMe(); // nothing can be sent before it is known
  const progress = api.useQuery("get", "/api/review/progress", {}, { refetchInterval: 30_000 });
  const guidelines = api.useQuery("get", "/api/review/guidelines", {}, { staleTime: 600_000 });
  const agreement = api.useQuery("get", "/api/review/agreement", {}, { refetchInterval: 120_000 });
  const queries = useQueryClient();
  const [pace, setPace] = useState<number | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const onSaved = useCallback(
    (now: number | null) => {
      setPace(now);
      clearTimeout(timer.current);
      timer.current = setTimeout(
        () => void queries.invalidateQueries({ queryKey: ["get", "/api/review/progress"] }),
        1500,
      );
    },
    [queries],
  );

  const failed = progress.error ?? guidelines.error;
  if (failed && !(progress.data && guidelines.data))
    return (
      <Page title="Review">
        <Failed error={failed} retry={() => void Promise.all([progress.refetch(), guidelines.refetch()])} />
      </Page>
    );
  if (!who || !progress.data || !guidelines.data)
    return (
      <Page title="Review">
        <Loading what="review queue" />
      </Page>
    );
  const { me } = progress.data;
  if (!me.may_judge)
    return (
      <Page title="Review">
        <Empty title="You can read, but not judge">
          <p>
            Judgements are stored with a name, so sign in as a reviewer: <Link href="/sign-in">sign in</Link>.
            The token comes from <code>regraft web-token create NAME --role reviewer</code>.
          </p>
          <p>
            <Link href="/review/queue">The queue</Link> can be read without signing in.
          </p>
        </Empty>
      </Page>
    );
  const themes = [...new Set(me.themes.filter((one) => one.kind === kind).map((one) => one.theme))];
  if (theme && !themes.includes(theme)) themes.push(theme);
  const lead = (
    <>
      <fieldset className={styles.kinds} aria-label="What is judged">
        <button type="button" aria-pressed={kind === "pair"} onClick={() => setKind("pair", { push: true })}>
          Two answers
        </button>
        <button type="button" aria-pressed={kind === "unit"} onClick={() => setKind("unit", { push: true })}>
          Whole paths
        </button>
      </fieldset>
      {themes.filter(Boolean).length > 0 && (
        <label className={styles.theme}>
          Theme
          <select value={theme} onChange={(event) => setTheme(event.target.value)}>
            <option value="">all</option>
            {themes.filter(Boolean).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
      {[session && `session ${session}`, cluster && `cluster ${cluster}`, category].filter(Boolean).length >
        0 && (
        <span className="soft">
          only{" "}
          {[session && `session ${session}`, cluster && `cluster ${cluster}`, category]
            .filter(Boolean)
            .join(", ")}{" "}
          <Link href={`/review?kind=${kind}`}>show all</Link>
        </span>
      )}
    </>
  );
  return (
    <Page
      title="Review"
      about={
        <>
          as <b>{me.reviewer}</b> · <Link href="/review/queue">the queue</Link>
        </>
      }
      full
      actions={
        <ProgressStrip
          progress={progress.data}
          agreement={agreement.data?.themes ?? []}
          kind={kind}
          pace={pace}
        />
      }
    >
      <Station
        key={me.reviewer}
        reviewer={me.reviewer}
        filter={filter}
        guidelines={guidelines.data}
        onSaved={onSaved}
        lead={lead}
      />
    </Page>
  );
}
