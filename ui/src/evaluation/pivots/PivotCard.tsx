import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { counted, figure, shortId } from "../../parts/format";
import { styleOfLevel } from "../map/colouring";
import { ShapeMark } from "../map/ShapeMark";
import styles from "./pivots.module.css";

type Pivot = Schema["Pivot"];

/** A context with its best and its worst answer side by side. */
export function PivotCard({ pivot, by }: { pivot: Pivot; by: string }) {
  return (
    <article className={styles.card}>
      <header>
        <p className={styles.asked} dir="auto">
          {pivot.asked ?? <span className="soft">Question without text</span>}
        </p>
        <span className={styles.actions}>
          <Link className={styles.primary} href={`/replay?nodes=${pivot.node_id}`}>
            Replay this
          </Link>
          <Link className={styles.button} href={`/compare/${pivot.node_id}`}>
            Compare answers
          </Link>
          <Link className={styles.button} href={`/nodes/${pivot.node_id}`}>
            Tree
          </Link>
        </span>
      </header>
      <div className={styles.answers}>
        <Answer
          label="Best"
          node={pivot.best}
          value={pivot.highest}
          text={pivot.best_answer}
          model={pivot.best_model}
        />
        <Answer
          label="Worst"
          node={pivot.worst}
          value={pivot.lowest}
          text={pivot.worst_answer}
          model={pivot.worst_model}
        />
      </div>
      <footer>
        <span title="spread of the answers' values times the paths below">weight {figure(pivot.weight)}</span>
        <span>spread {figure(pivot.spread)}</span>
        <span>{counted(pivot.answers, "answer")}</span>
        <span>{counted(pivot.leaves, "path")}</span>
        <span>
          mean {figure(pivot.mean)} ± {figure(pivot.error)}
        </span>
        <span>by {by}</span>
        {pivot.theme && <Chip>{pivot.theme}</Chip>}
      </footer>
    </article>
  );
}

type AnswerProps = { label: string; node: string; value: number; text: string | null; model: string | null };

function Answer({ label, node, value, text, model }: AnswerProps) {
  return (
    <div className={styles.answer}>
      <p className={styles.value}>
        <ShapeMark style={styleOfLevel(value)} />
        <strong>{label}</strong> {figure(value)}
        <span className="soft">{model}</span>
        <Link href={`/nodes/${node}`}>{shortId(node)}</Link>
      </p>
      <p className={styles.text} dir="auto">
        {text ?? <span className="soft">no words: calls tools, or is empty</span>}
      </p>
    </div>
  );
}
