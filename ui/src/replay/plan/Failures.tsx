import type { Schema } from "../../api/client";
import { counted } from "../../parts/format";
import styles from "./plan.module.css";

/** Why calls failed, the most frequent reason first. */
export function Failures({ plan }: { plan: Schema["Plan"] }) {
  if (plan.failures.length === 0) return <p className="soft">No call failed.</p>;
  return (
    <ul className={styles.failures}>
      {plan.failures.map((one) => (
        <li key={one.failure ?? ""}>
          <strong>{counted(one.jobs, "call")}</strong>
          <span className="mono" dir="auto">
            {one.failure ?? "no reason is known"}
          </span>
        </li>
      ))}
    </ul>
  );
}
