import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { count, counted, shortId } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { type ReplayRequest, variantsIn } from "./form";
import styles from "./outlook.module.css";
import { money, reasonInWords } from "./words";

type Props = {
  request: ReplayRequest;
  found: Schema["ReplayPreview"] | undefined;
  late: boolean;
  problem: string;
  unsound: boolean;
  empty: boolean;
  admin: boolean;
  ready: boolean;
  starting: boolean;
  failure: string;
  onStart: () => void;
};

const SHOWN = 12;

/** What the replay would take, and the button that starts it. */
export function OutlookPanel(props: Props) {
  const { request, found, late, problem, unsound, empty, admin, ready, starting, failure, onStart } = props;
  const variants = variantsIn(request);
  const stale = late || unsound;
  return (
    <aside className={styles.panel} aria-label="What it takes">
      <div
        className={stale ? `${styles.figures} ${styles.stale}` : styles.figures}
        aria-live="polite"
        aria-busy={late}
      >
        <p className={styles.jobs}>
          <strong data-testid="jobs">{found && !problem ? count(found.jobs) : "–"}</strong>{" "}
          {found?.jobs === 1 ? "call" : "calls"}
          {request.continuing && <span className="soft"> at least</span>}
        </p>
        <p className="soft">
          {found ? counted(found.nodes, "context") : counted(request.nodes?.length ?? 0, "context")} ×{" "}
          {counted(variants, "variant")} × {counted(request.samples ?? 1, "sample")}
        </p>
        {found && !problem && (
          <dl className={styles.list}>
            <Row
              label="Prompts"
              value={`${about(found.prompts_estimated)}${count(found.tokens.prompt)} tokens`}
            />
            <Row label="Answers" value={`up to ${count(found.tokens.completion)} tokens`} />
            <Row
              label="Cost"
              value={
                found.cost === null ? (found.jobs === 0 ? "nothing" : "no price is known") : money(found.cost)
              }
              title={
                found.unpriced.length > 0
                  ? `No price in the settings: ${found.unpriced.join(", ")}`
                  : undefined
              }
            />
            {found.answered > 0 && <Row label="Answered already" value={counted(found.answered, "call")} />}
            {Object.entries(found.refused).map(([reason, nodes]) => (
              <Row
                key={reason}
                label="Left out"
                value={`${counted(nodes, "context")}: ${reasonInWords(reason)}`}
              />
            ))}
          </dl>
        )}
      </div>
      {found?.resumes && found.plan_id && (
        <p className={styles.note}>
          <Icon name="replay" /> This was begun before: starting goes on with{" "}
          <Link href={`/replays/${found.plan_id}`}>plan {shortId(found.plan_id)}</Link>.
        </p>
      )}
      {found && found.jobs === 0 && found.answered > 0 && !problem && (
        <p className={styles.note}>
          Every answer exists already:{" "}
          {found.node_ids[0] && <Link href={`/compare/${found.node_ids[0]}`}>compare them</Link>}, or ask
          again.
        </p>
      )}
      {empty && <p className={styles.note}>Choose contexts first.</p>}
      {unsound && <p className={styles.problem}>Some fields have invalid values.</p>}
      {problem && (
        <p className={styles.problem} role="alert">
          {problem}
        </p>
      )}
      {failure && (
        <p className={styles.problem} role="alert">
          {failure}
        </p>
      )}
      {!admin && <p className={styles.note}>Only admins can start replays: sign in with an admin's token.</p>}
      <Button
        kind="primary"
        icon="replay"
        className={styles.start}
        disabled={!ready}
        busy={starting}
        title="Ctrl+Enter"
        onClick={onStart}
      >
        {starting ? "Starting …" : found?.resumes ? "Resume" : "Start"}
      </Button>
      {found && found.variants.length > 1 && !problem && (
        <Variants variants={found.variants} priced={found.cost !== null} />
      )}
    </aside>
  );
}

function Row({ label, value, title }: { label: string; value: string; title?: string | undefined }) {
  return (
    <div title={title}>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function about(estimated: number): string {
  return estimated > 0 ? "about " : "";
}

function Variants({ variants, priced }: { variants: readonly Schema["PlannedVariant"][]; priced: boolean }) {
  return (
    <table className={styles.variants}>
      <caption className="visually-hidden">Estimate for each variant</caption>
      <thead>
        <tr>
          <th scope="col">Variant</th>
          <th scope="col">Calls</th>
          <th scope="col">{priced ? "Cost" : "Tokens"}</th>
        </tr>
      </thead>
      <tbody>
        {variants.slice(0, SHOWN).map((each, place) => (
          <tr key={place}>
            <td title={each.words}>{each.words}</td>
            <td>{count(each.jobs)}</td>
            <td>{priced ? money(each.cost) : count(each.tokens.prompt + each.tokens.completion)}</td>
          </tr>
        ))}
        {variants.length > SHOWN && (
          <tr>
            <td colSpan={3} className="soft">
              and {counted(variants.length - SHOWN, "more variant")}
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}
