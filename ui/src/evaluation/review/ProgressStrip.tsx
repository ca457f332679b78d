import type { Schema } from "../../api/client";
import { count } from "../../parts/format";
import { signed } from "../figures/number";
import styles from "./ReviewPage.module.css";

type Props = {
  progress: Schema["ReviewProgress"];
  agreement: readonly Schema["ThemeAgreement"][];
  kind: string;
  pace: number | null;
};

/** How far the reviewer is, how far everybody is, how fast it goes, and how far people agree. */
export function ProgressStrip({ progress, agreement, kind, pace }: Props) {
  const { me, all } = progress;
  const mine = all.filter((one) => one.kind === kind && one.share !== "gold");
  const items = mine.reduce((sum, one) => sum + one.items, 0);
  const complete = mine.reduce((sum, one) => sum + one.complete, 0);
  const waiting = me.themes.filter((one) => one.kind === kind).reduce((sum, one) => sum + one.waiting, 0);
  return (
    <dl className={styles.strip}>
      <Figure name="today">{count(me.submitted_today)}</Figure>
      <Figure name="in all">{count(me.submitted)}</Figure>
      <Figure name="wait for you">{count(waiting)}</Figure>
      <Figure name="an hour">{pace === null ? "–" : count(pace)}</Figure>
      <Figure name="of everybody’s done">
        {count(complete)} / {count(items)}
      </Figure>
      <Figure name="agreement">{alphaOf(agreement, kind)}</Figure>
    </dl>
  );
}

function Figure({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dd>{children}</dd>
      <dt>{name}</dt>
    </div>
  );
}

/** The agreement on the theme that most items were judged twice of, with its interval and count. */
function alphaOf(agreement: readonly Schema["ThemeAgreement"][], kind: string): string {
  const measure = kind === "pair" ? "preference" : "rating";
  const [most] = agreement
    .filter((one) => one.measure === measure)
    .sort((a, b) => b.subjects - a.subjects || a.theme.localeCompare(b.theme));
  if (!most || most.alpha === null) return "–";
  return `α ${signed(most.alpha)} [${signed(most.low)}, ${signed(most.high)}] n ${most.subjects}`;
}
