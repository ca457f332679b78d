import type { ReactNode } from "react";
import styles from "./states.module.css";

/** There is nothing to show: says so, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={styles.empty}>
      <h2>{title}</h2>
      {children && <div className={styles.text}>{children}</div>}
    </div>
  );
}
