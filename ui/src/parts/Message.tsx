import type { ReactNode } from "react";
import { Chip } from "./Chip";
import { Icon } from "./Icon";
import { LongText } from "./LongText";
import styles from "./Message.module.css";
import { type Part, partsOf } from "./messageParts";

type Props = {
  message: unknown;
  /** Beside the role, such as a model's name. */
  note?: ReactNode;
  /** In place of the text parts, such as a comparison. */
  instead?: ReactNode;
};

/** A message as it was captured: text, reasoning (folded), tool calls and results, images by name. */
export function Message({ message, note, instead }: Props) {
  const role = roleOf(message);
  const parts = partsOf(message).filter((part) => !(instead && part.kind === "text"));
  return (
    <article className={`${styles.message} ${styles[role] ?? ""}`}>
      <header className={styles.head}>
        <span className={styles.role}>{role}</span>
        {note}
      </header>
      {instead}
      {parts.map((part, index) => (
        <PartShown key={index} part={part} />
      ))}
      {parts.length === 0 && !instead && <span className="soft">(empty)</span>}
    </article>
  );
}

function roleOf(message: unknown): string {
  const role = (message as { role?: unknown } | null)?.role;
  return typeof role === "string" && role ? role : "message";
}

function PartShown({ part }: { part: Part }) {
  switch (part.kind) {
    case "text":
      return <LongText text={part.text} />;
    case "reasoning":
      return (
        <details className={styles.fold}>
          <summary>Reasoning</summary>
          <LongText text={part.text} />
        </details>
      );
    case "refusal":
      return (
        <div>
          <Chip tone="warn">refused</Chip> <LongText text={part.text} />
        </div>
      );
    case "call":
      return (
        <div className={styles.tool}>
          <span>
            <Icon name="right" size={12} /> calls <b>{part.name}</b>{" "}
            <span className="soft mono">{part.id}</span>
          </span>
          {part.input && <LongText text={part.input} code />}
        </div>
      );
    case "result":
      return (
        <div className={styles.tool}>
          <span>
            <Icon name="left" size={12} /> result <span className="soft mono">{part.id}</span>{" "}
            {part.failed && <Chip tone="bad">failed</Chip>}
          </span>
          <LongText text={part.text} code />
        </div>
      );
    case "file":
      return (
        <div>
          <Chip>{part.what}</Chip> {part.name}
        </div>
      );
    default:
      return <LongText text={part.json} code />;
  }
}
