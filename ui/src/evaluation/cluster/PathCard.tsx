import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { counted, shortId } from "../../parts/format";
import { Rate } from "../map/ClusterList";
import styles from "./cluster.module.css";

/** A path in short: what was asked last, and how the answer begins. */
export function PathCard({ path }: { path: Schema["PathInCluster"] }) {
  return (
    <article className={styles.card}>
      <p className={styles.asked} dir="auto">
        {path.asked ?? <span className="soft">not in the graph any more</span>}
      </p>
      {path.answer_text && (
        <p className={styles.answer} dir="auto">
          {path.answer_text}
        </p>
      )}
      <footer>
        <Link href={`/nodes/${path.unit_id}`}>{shortId(path.unit_id)}</Link>
        <span>{counted(path.turns, "turn")}</span>
        {path.theme && <span>{path.theme}</span>}
        {path.model && <span>{path.model}</span>}
        <Rate value={path.outcome} of={1} />
      </footer>
    </article>
  );
}
