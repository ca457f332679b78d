import { Fragment, type ReactNode } from "react";
import styles from "./Card.module.css";

type Props = { title: string; note?: ReactNode; wide?: boolean; children: ReactNode };

/** A part of a page with a title of its own. */
export function Card({ title, note, wide = false, children }: Props) {
  return (
    <section className={wide ? `${styles.card} ${styles.wide}` : styles.card} aria-label={title}>
      <header className={styles.head}>
        <h2>{title}</h2>
        {note && <span className="soft">{note}</span>}
      </header>
      {children}
    </section>
  );
}

/** Cards beside each other, as many as there is room for; `dense` ones are narrow. */
export function Cards({ dense = false, children }: { dense?: boolean; children: ReactNode }) {
  return <div className={dense ? `${styles.cards} ${styles.dense}` : styles.cards}>{children}</div>;
}

/** Figures with their names. */
export function Figures({ figures }: { figures: readonly [string, ReactNode][] }) {
  return (
    <dl className={styles.figures}>
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Facts with their names, one to a line. */
export function Facts({ facts }: { facts: readonly [string, ReactNode][] }) {
  return (
    <dl className={styles.facts}>
      {facts.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}
