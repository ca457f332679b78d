import { api, type Schema } from "../../api/client";
import { Empty } from "../../parts/Empty";
import { ExportButtons } from "../../parts/ExportButtons";
import { Failed } from "../../parts/Failed";
import { counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useUrlState } from "../../parts/useUrlState";
import { PivotCard } from "./PivotCard";
import styles from "./pivots.module.css";

type Source = NonNullable<Schema["Pivot"]["source"]>;

const SOURCES: Readonly<Record<string, string>> = {
  human: "people",
  outcome: "measured outcomes",
  judge: "models",
};
const EXPORTED = [
  ...["node_id", "session_id", "theme", "source", "answers", "leaves", "spread", "weight", "asked"],
  ...["highest", "best", "best_answer", "lowest", "worst", "worst_answer"],
];

/** Contexts whose answers led to different outcomes, the heaviest first: what a replay tells most of. */
export default function PivotsPage() {
  const [source, setSource] = useUrlState("source");
  const [theme, setTheme] = useUrlState("theme");
  const known = source in SOURCES ? (source as "human" | "outcome" | "judge") : undefined;
  const query = { limit: 200, ...(known ? { source: known } : {}), ...(theme ? { theme } : {}) };
  const { data, error, refetch } = api.useQuery("get", "/api/pivots", { params: { query } });
  const themes = api.useQuery("get", "/api/themes", { params: { query: { limit: 200 } } }).data?.themes ?? [];
  const names = [...new Set([...themes.map((one) => one.name), ...(theme ? [theme] : [])])].sort();
  const pivots = data?.pivots;
  return (
    <Page
      title="Pivots"
      about={
        pivots
          ? `${counted(pivots.length, "context")} whose answers led to different outcomes, the heaviest first`
          : "Contexts whose answers led to different outcomes"
      }
      actions={pivots && <ExportButtons name="pivots" columns={EXPORTED} rows={() => pivots} />}
    >
      <div className={styles.bar}>
        <label>
          Valued by{" "}
          <select value={known ?? ""} onChange={(event) => setSource(event.target.value)}>
            <option value="">anybody</option>
            {Object.entries(SOURCES).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          Theme{" "}
          <select value={theme} onChange={(event) => setTheme(event.target.value)}>
            <option value="">all</option>
            {names.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      </div>
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !pivots ? (
        <Loading what="pivots" />
      ) : pivots.length === 0 ? (
        <Empty title="No pivot is known">
          <p>
            A pivot needs two answers to one context whose paths have different values: outcomes, or
            judgements of people or models. Replays make answers; the review and judges make values. Then
          </p>
          <pre>
            <code>regraft pivots</code>
          </pre>
        </Empty>
      ) : (
        <ol className={styles.list}>
          {pivots.map((pivot) => (
            <li key={`${pivot.anchor_turn_id} ${pivot.source} ${pivot.session_id}`}>
              <PivotCard pivot={pivot} by={SOURCES[pivot.source as Source] ?? pivot.source} />
            </li>
          ))}
        </ol>
      )}
    </Page>
  );
}
