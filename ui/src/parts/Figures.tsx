import type { ReactNode } from "react";
import styles from "./Figures.module.css";

export type Figure = { label: string; value: ReactNode; title?: string };

/** Figures of a thing in a row of tiles. */
export function Figures({ figures }: { figures: readonly Figure[] }) {
  return (
    <dl className={styles.figures}>
      {figures.map((one) => (
        <div key={one.label} title={one.title}>
          <dt>{one.label}</dt>
          <dd>{one.value}</dd>
        </div>
      ))}
    </dl>
  );
}
