import { Link } from "wouter";
import { api, type Schema } from "../../api/client";
import { type Column, DataTable } from "../../parts/DataTable";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, figure, percent } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { Time } from "../../parts/Time";
import { useUrlState } from "../../parts/useUrlState";
import type { PageProps } from "../../shell/page";
import { Interval } from "../figures/Interval";
import { signed } from "../figures/number";
import { Biases } from "./Biases";
import { Confusion } from "./Confusion";
import { DisagreementsTable } from "./DisagreementsTable";
import { decidesOf, type Figures, MIN_AGREEMENT, MIN_JUDGED, standingOf } from "./judges";
import styles from "./judges.module.css";
import { StandingMark } from "./StandingMark";

/** All about one judge: its agreement with people, its biases, drift, and where it differs from them. */
export default function JudgePage({ params }: PageProps) {
  const name = decodeURIComponent(params.name ?? "");
  const [chosen, setChosen] = useUrlState("of");
  const figures = api.useQuery("get", "/api/judges", { params: { query: { judge: name } } });
  const versions = api.useQuery("get", "/api/judges/versions");
  const crumbs = [{ label: "Judges", href: "/judges" }];
  const failed = figures.error ?? versions.error;
  if (failed)
    return (
      <Page title={name} crumbs={crumbs}>
        <Failed error={failed} retry={() => void Promise.all([figures.refetch(), versions.refetch()])} />
      </Page>
    );
  if (!figures.data || !versions.data)
    return (
      <Page title={name} crumbs={crumbs}>
        <Loading what="judge" />
      </Page>
    );
  const own = versions.data.versions.filter((one) => one.judge === name);
  const whole = figures.data.judges.filter((one) => one.theme === null);
  const keyOf = (one: Figures) => `${one.judge_version} ${one.task} ${one.category}`.trim();
  const shown = whole.find((one) => keyOf(one) === chosen) ?? whole[0];
  const themes = figures.data.judges.filter(
    (one) => one.theme !== null && shown && keyOf(one) === keyOf(shown),
  );
  if (whole.length === 0 && own.length === 0)
    return (
      <Page title={name} crumbs={crumbs}>
        <Empty title="There is no judge with this name">
          <Link href="/judges">All judges</Link>
        </Empty>
      </Page>
    );
  return (
    <Page
      title={name}
      crumbs={crumbs}
      about={
        shown
          ? `${shown.model || shown.source} · believed from an agreement of ${MIN_AGREEMENT} on ${MIN_JUDGED} items`
          : undefined
      }
    >
      {whole.length > 1 && (
        <label className={styles.tools}>
          Decides
          <select value={shown ? keyOf(shown) : ""} onChange={(event) => setChosen(event.target.value)}>
            {whole.map((one) => (
              <option key={keyOf(one)} value={keyOf(one)}>
                {decidesOf(one.task, one.category)} ({one.judge_version || one.source})
              </option>
            ))}
          </select>
        </label>
      )}
      {shown ? (
        <>
          <div className={styles.head}>
            <StandingMark standing={standingOf(shown)} />
            <Interval
              value={shown.kappa}
              low={shown.kappa_low}
              high={shown.kappa_high}
              n={shown.items}
              mark={MIN_AGREEMENT}
            />
            <dl className={styles.figures}>
              <Named name="agreement">{signed(shown.agreement)}</Named>
              <Named name="accuracy">{percent(shown.accuracy)}</Named>
              <Named name="precision">{percent(shown.precision)}</Named>
              <Named name="recall">{percent(shown.recall)}</Named>
              <Named name="F1, 95 %">
                {figure(shown.f1)}
                {shown.f1_low !== null && ` [${figure(shown.f1_low)}, ${figure(shown.f1_high)}]`}
              </Named>
              <Named name="conversations">{count(shown.components)}</Named>
            </dl>
          </div>
          <div className={styles.columns}>
            <section>
              <h2>Where it agrees</h2>
              <Confusion figures={shown} />
            </section>
            <section>
              <h2>Biases and drift</h2>
              <Biases
                figures={shown}
                items={own.find((one) => one.judge_version === shown.judge_version)?.items ?? null}
              />
            </section>
          </div>
          {themes.length > 0 && (
            <section className={styles.section}>
              <h2>By theme</h2>
              <DataTable label="By theme" columns={THEMES} rows={themes} rowKey={(row) => `${row.theme}`} />
            </section>
          )}
          <section className={styles.section}>
            <h2>Where it differs from people</h2>
            <DisagreementsTable judge={name} />
          </section>
        </>
      ) : (
        <Empty title="Its agreement with people is not known">
          <p>
            No item was judged by both this judge and people, or people disagree too much: labels on contested
            themes do not count. <Link href="/review">Judge some items</Link>, then run{" "}
            <code>regraft judges run {name} --judged</code>.
          </p>
        </Empty>
      )}
      {own.length > 0 && (
        <section className={styles.section}>
          <h2>Rubric</h2>
          {own.map((version) => (
            <VersionShown key={version.judge_version} version={version} />
          ))}
        </section>
      )}
    </Page>
  );
}

function Named({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function VersionShown({ version }: { version: Schema["JudgeVersion"] }) {
  const { rubric } = (version.definition ?? {}) as { rubric?: unknown };
  return (
    <details className={styles.version} open={version.current}>
      <summary>
        <span className="mono">{version.judge_version}</span> {version.current && <b>in use</b>} ·{" "}
        {version.task} by {version.model} · {count(version.votes)} votes on {count(version.items)} items,{" "}
        {count(version.unparseable)} unreadable · <Time at={version.last_used} />
      </summary>
      {typeof rubric === "string" && <div className={styles.rubric}>{rubric.trim()}</div>}
    </details>
  );
}

const THEMES: Column<Figures>[] = [
  { key: "theme", head: "Theme", cell: (row) => row.theme || "no theme" },
  {
    key: "kappa",
    head: "Cohen’s κ, 95 %",
    width: "15rem",
    cell: (row) => (
      <Interval
        value={row.kappa}
        low={row.kappa_low}
        high={row.kappa_high}
        n={row.items}
        mark={MIN_AGREEMENT}
      />
    ),
  },
  { key: "agreement", head: "Agreement", width: "7rem", align: "end", cell: (row) => signed(row.agreement) },
  { key: "f1", head: "F1", width: "6rem", align: "end", cell: (row) => figure(row.f1) },
  { key: "accuracy", head: "Accuracy", width: "7rem", align: "end", cell: (row) => percent(row.accuracy) },
  {
    key: "status",
    head: "Status",
    width: "17rem",
    cell: (row) => <StandingMark standing={standingOf(row)} />,
  },
];
