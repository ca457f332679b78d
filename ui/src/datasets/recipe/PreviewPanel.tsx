import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { count, counted } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { useUrlState } from "../../parts/useUrlState";
import { useMe } from "../../shell/session";
import { Bars } from "../Bars";
import { Card, Cards, Figures } from "../Card";
import { Coded } from "../Coded";
import { JobProgress } from "../JobProgress";
import { Stack, splitPieces } from "../Stack";
import { ranked, spoken, total } from "../words";
import { ExampleRows } from "./ExampleRows";
import styles from "./PreviewPanel.module.css";
import type { usePreview } from "./usePreview";

type Props = {
  admin: boolean;
  found: ReturnType<typeof usePreview>;
  /** Whether what is shown is of an earlier text. */
  isStale: boolean;
  onAllRows: () => void;
};

/** What a recipe would give: what is kept, what is not and why, and how the rows read. */
export function PreviewPanel({ admin, found, isStale, onAllRows }: Props) {
  const me = useMe();
  if (!admin)
    return me === undefined ? (
      <Loading what="preview" />
    ) : (
      <Empty title="A preview needs an admin">
        <p>
          Making rows takes work on the server. <Link href="/sign-in">Sign in</Link> with a token of the role
          admin, or run <code>regraft dataset preview</code>.
        </p>
      </Empty>
    );
  if (found.error) return <Failed error={found.error} retry={found.retry} />;
  if (found.failure)
    return (
      <Empty title="No preview of this">
        <p className={styles.lines}>{found.failure}</p>
        <Button onClick={found.retry}>Try again</Button>
      </Empty>
    );
  if (!found.preview)
    return (
      <Card title="Preview">{found.job ? <JobProgress job={found.job} /> : <Loading what="preview" />}</Card>
    );
  return (
    <div className={styles.panel} aria-busy={isStale}>
      <div className={isStale ? styles.stale : undefined}>
        <Shown preview={found.preview} onAllRows={onAllRows} />
      </div>
      <div className={styles.status}>
        {found.job ? (
          <JobProgress job={found.job} />
        ) : isStale ? (
          <span>This preview is of an earlier text.</span>
        ) : null}
      </div>
    </div>
  );
}

function Shown({ preview, onAllRows }: { preview: Schema["Preview"]; onAllRows: () => void }) {
  const refused = total(preview.refused);
  const passed = total(preview.passed_over);
  const [reason, setReason] = useUrlState("reason");
  const { tokens } = preview;
  return (
    <Cards dense>
      <Card title={`${counted(preview.rows, "row")} would be frozen`} wide>
        <Stack
          label="Candidates"
          pieces={[
            { label: "kept", value: preview.rows, colour: "--accent" },
            { label: "refused", value: refused, colour: "--bad" },
            { label: "not asked for", value: passed, colour: "--line-strong" },
          ]}
        />
        {!preview.whole && (
          <p>
            Only the best thousand were made. <Button onClick={onAllRows}>Preview all rows</Button>
          </p>
        )}
      </Card>
      <Card title="Refused" note={refused > 0 ? "choose a reason for examples" : ""}>
        {refused === 0 ? (
          <p className="soft">No candidate was refused.</p>
        ) : (
          <Bars
            label="Refused by reason"
            tone="bad"
            bars={ranked(preview.refused).map(([key, value]) => ({ key, value, label: spoken(key) }))}
            selected={reason}
            onSelect={(key) => setReason(key, { push: true })}
          />
        )}
        {reason && preview.refused[reason] !== undefined && <Examples preview={preview} reason={reason} />}
      </Card>
      <Card title="Not asked for" note={count(passed)}>
        {passed === 0 ? (
          <p className="soft">No candidate was excluded.</p>
        ) : (
          <Bars
            label="Excluded, by cause"
            tone="plain"
            bars={ranked(preview.passed_over).map(([key, value]) => ({
              key,
              value,
              label: spoken(key),
              title: preview.reasons[key],
            }))}
          />
        )}
      </Card>
      <Card title="Splits">
        <Stack label="Splits" pieces={splitPieces(preview.splits)} />
        <p className="soft">
          {counted(preview.leakage.components ?? 0, "group")} of related rows; a group is never torn.
        </p>
      </Card>
      <Card title="Decided by">
        <Bars
          label="Decided by"
          bars={ranked(preview.labels).map(([key, value]) => ({ key, value, label: spoken(key) }))}
          of={preview.rows}
        />
      </Card>
      <Card title="Length" note={`tokens of ${tokens.tokenizer}`}>
        <Figures
          figures={[
            ["median", count(tokens.median ?? 0)],
            ["95 % below", count(tokens.p95 ?? 0)],
            ["longest", count(tokens.max ?? 0)],
            ["all", count(tokens.sum)],
          ]}
        />
      </Card>
      <Card title="Strata" note={counted(Object.keys(preview.strata).length, "stratum", "strata")}>
        <Bars
          label="Strata"
          bars={ranked(preview.strata)
            .slice(0, 8)
            .map(([key, value]) => ({ key, value, label: key || "no theme" }))}
        />
      </Card>
      <Card title="Can be written for">
        <ul className={styles.targets}>
          {Object.entries(preview.targets).map(([target, losses]) => (
            <li key={target}>
              <b>{target}</b>
              {total(losses) === 0 ? (
                <Chip tone="good">every row</Chip>
              ) : (
                <>
                  <Chip tone="warn">all but {count(total(losses))}</Chip>
                  <small className="soft">
                    {ranked(losses)
                      .map(([name]) => spoken(name))
                      .join(", ")}
                  </small>
                </>
              )}
            </li>
          ))}
        </ul>
      </Card>
      <Card title="The best rows" wide>
        <ExampleRows rows={preview.sample} />
      </Card>
    </Cards>
  );
}

function Examples({ preview, reason }: { preview: Schema["Preview"]; reason: string }) {
  const examples = preview.examples[reason] ?? [];
  return (
    <div className={styles.examples}>
      <p>
        <Coded text={`${preview.reasons[reason] ?? spoken(reason)}.`} />
      </p>
      <ul>
        {examples.map((one) => (
          <li key={one.row_id}>
            {one.sources.map((source) => (
              <Link
                key={source.part}
                href={`/sessions/${source.session_id}?node=${source.node_id}`}
                className="mono"
              >
                {one.sources.length > 1 ? `${source.part} ` : ""}
                {source.node_id.slice(0, 8)}
              </Link>
            ))}
            {one.detail && <span className="soft">{one.detail}</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
