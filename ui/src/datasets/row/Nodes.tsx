import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { percent } from "../../parts/format";
import { KindMark } from "../../parts/KindMark";
import { Time } from "../../parts/Time";
import styles from "./Nodes.module.css";

/** The path that a row was made from: its own nodes, and those whose answers its history holds. */
export function Nodes({ row }: { row: Schema["SnapshotRowDetail"] }) {
  return (
    <section className={styles.nodes} aria-labelledby="came-from">
      <h2 id="came-from">Where it came from</h2>
      <ol className={styles.list}>
        {row.nodes.map((node) => (
          <li
            key={`${node.part} ${node.node_id}`}
            className={node.part === "history" ? undefined : styles.own}
          >
            <div className={styles.line}>
              {node.branch_kind && <KindMark kind={node.branch_kind} bare />}
              <Link href={`/sessions/${node.session_id}?node=${node.node_id}`} className="mono">
                {node.node_id.slice(0, 8)}
              </Link>
              {node.part === "history" ? (
                <span className="soft">before</span>
              ) : (
                <Chip tone={node.part === "rejected" ? "bad" : "accent"}>{node.part}</Chip>
              )}
              <span className={styles.model}>{node.model}</span>
              {node.is_replay && (
                <Chip title="share of tool results from the record">replay {percent(node.fidelity)}</Chip>
              )}
              <span className={styles.at}>
                <Time at={node.started_at} />
              </span>
            </div>
            {node.part !== "history" && (
              <div className={styles.more}>
                {node.theme && <span>{node.theme}</span>}
                {node.purpose && <span>{node.purpose}</span>}
                {node.task_key && <span>task {node.task_key}</span>}
                {node.finish_reason && <span>ended: {node.finish_reason}</span>}
                {node.turn_id && <span>run {node.turn_id.slice(0, 8)}</span>}
                {node.depth === null && <span>not in the graph any more under this id</span>}
              </div>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
