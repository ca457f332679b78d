import { Link } from "wouter";
import type { Schema } from "../../api/client";
import { count, counted, shortId } from "../../parts/format";
import { NodeComparison } from "../compare/NodeComparison";
import { JobsBar } from "./JobsBar";
import styles from "./plan.module.css";
import { isAlive } from "./state";

/** Where the answers are: of one context its variants compared, of several a way to each. */
export function Results({ plan }: { plan: Schema["Plan"] }) {
  const [only] = plan.node_records;
  return (
    <div className={styles.results}>
      <ul className={styles.nodes}>
        {plan.node_records.map((node) => (
          <li key={node.node_id}>
            <Link href={`/nodes/${node.node_id}`} className="mono" title={`${node.node_id}, in its tree`}>
              {shortId(node.node_id)}
            </Link>
            <JobsBar
              done={node.done}
              failed={node.failed}
              jobs={node.jobs}
              left={node.jobs - node.done - node.failed}
            />
            <Link href={`/compare/${node.node_id}`}>Compare answers</Link>
            <Link href={`/nodes/${node.node_id}`}>Show in the tree</Link>
            <Link href={`/replay?nodes=${node.node_id}`}>Replay again</Link>
          </li>
        ))}
      </ul>
      {plan.nodes > plan.node_records.length && (
        <p className="soft">
          and {counted(plan.nodes - plan.node_records.length, "more context")}: the list of calls has all{" "}
          {count(plan.nodes)}
        </p>
      )}
      {only && plan.node_records.length === 1 && (
        <NodeComparison node={only.node_id} growing={isAlive(plan)} />
      )}
    </div>
  );
}
