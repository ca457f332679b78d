import { useMemo } from "react";
import { differenceOf } from "./difference";
import styles from "./WordDiff.module.css";

type Props = {
  before: string;
  after: string;
  /** Which side is shown: both in one text, or only what is in the one before or after. */
  side?: "both" | "before" | "after";
};

/** What changed between two texts, word by word. Marked by colour and by a line through or under the words. */
export function WordDiff({ before, after, side = "both" }: Props) {
  const pieces = useMemo(() => differenceOf(before, after), [before, after]);
  const hidden = side === "before" ? "new" : side === "after" ? "gone" : "";
  return (
    <div className={styles.text}>
      {pieces.map(({ text, change }, index) => {
        if (change === hidden) return null;
        if (change === "gone") return <del key={index}>{text}</del>;
        if (change === "new") return <ins key={index}>{text}</ins>;
        return <span key={index}>{text}</span>;
      })}
    </div>
  );
}
