import type { Schema } from "../../api/client";
import { Chip } from "../../parts/Chip";
import { Message } from "../../parts/Message";
import styles from "./Parts.module.css";

const ABOUT: Readonly<Record<string, string>> = {
  messages: "Conversation",
  prompt: "Prompt",
  completion: "Completion",
  chosen: "Chosen",
  rejected: "Rejected",
  alternate: "Alternative answer",
};

/** The messages of a row. What a trainer learns from, and what it is taught to avoid, is marked. */
export function Parts({ row }: { row: Schema["SnapshotRowDetail"] }) {
  const sides = ["chosen", "rejected", "alternate"];
  const beside = row.parts.filter((part) => sides.includes(part.name));
  const above = row.parts.filter((part) => !sides.includes(part.name));
  return (
    <div className={styles.parts}>
      <p className={styles.legend}>
        <Chip tone="good">learned</Chip> is trained on, <Chip tone="bad">avoided</Chip> is trained away from,
        the rest is context.
      </p>
      {above.map((part) => (
        <Part key={part.name} part={part} />
      ))}
      {beside.length > 0 && (
        <div className={styles.beside}>
          {beside.map((part) => (
            <Part key={part.name} part={part} />
          ))}
        </div>
      )}
    </div>
  );
}

function Part({ part }: { part: Schema["RowPart"] }) {
  return (
    <section className={styles.part} aria-labelledby={`part-${part.name}`}>
      <h2 id={`part-${part.name}`}>{ABOUT[part.name] ?? part.name}</h2>
      {part.messages.map((one, index) => (
        <div key={index} className={one.effect ? styles[one.effect] : styles.context}>
          <Message message={readable(one.message)} note={<Effect message={one} />} />
        </div>
      ))}
    </section>
  );
}

function Effect({ message }: { message: Schema["RowMessage"] }) {
  if (message.effect === "learn") return <Chip tone="good">learned</Chip>;
  if (message.effect === "avoid") return <Chip tone="bad">avoided</Chip>;
  if (message.message.role === "assistant") return <span className="soft">not trained on</span>;
  return null;
}

/** A stored message as the API's form has it: several text parts in place of the content. */
function readable(message: Record<string, unknown>): Record<string, unknown> {
  const parts = message.parts;
  if (!Array.isArray(parts)) return message;
  return { ...message, content: parts.map((text) => ({ type: "text", text })) };
}
