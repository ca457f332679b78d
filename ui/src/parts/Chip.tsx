import type { ReactNode } from "react";
import styles from "./Chip.module.css";

export type Tone = "plain" | "good" | "bad" | "warn" | "info" | "accent";

/** A word or a figure about a thing, such as a status. The tone adds to the word, it does not replace it. */
export function Chip({
  tone = "plain",
  title,
  children,
}: {
  tone?: Tone;
  title?: string;
  children: ReactNode;
}) {
  return (
    <span className={`${styles.chip} ${styles[tone]}`} title={title}>
      {children}
    </span>
  );
}
