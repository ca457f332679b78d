import { memo, useRef } from "react";
import { Message } from "../../parts/Message";
import { partsOf } from "../../parts/messageParts";
import { WordDiff } from "../../parts/WordDiff";
import type { Item } from "./answer";
import type { Revealed } from "./desk";
import styles from "./ItemView.module.css";
import { Path } from "./Path";

type Props = {
  item: Item;
  /** It is in the page, ready to be shown, and not seen. */
  hidden: boolean;
  diff: boolean;
  wholePath: boolean;
  /** Whose answers they were; only of items that are judged. */
  revealed: readonly Revealed[];
};

/** What is judged: two answers side by side, or the last turn of a path. Says nothing of models before it is judged. */
export const ItemView = memo(function ItemView({ item, hidden, diff, wholePath, revealed }: Props) {
  return (
    <section className={styles.item} hidden={hidden} data-lease={item.lease_id} aria-label="What is judged">
      {item.kind === "pair" ? (
        <Pair item={item} diff={diff} wholePath={wholePath} revealed={revealed} />
      ) : (
        <div className={styles.single} data-scrolls="">
          <Path history={asList(item.history)} whole={wholePath} />
          <div className={styles.judged}>
            <h2 className={styles.side}>
              The turn to judge <Whose revealed={revealed[0]} />
            </h2>
            <Message message={item.answers[0]} />
          </div>
        </div>
      )}
    </section>
  );
});

function Pair({ item, diff, wholePath, revealed }: Omit<Props, "hidden">) {
  const panes = useRef<(HTMLElement | null)[]>([]);
  const texts = item.answers.map(textOf);
  // Both sides are scrolled together, by the share of what there is to scroll.
  const follow = (from: number) => {
    const [one, other] = [panes.current[from], panes.current[1 - from]];
    if (!one || !other || one.matches(":hover, :focus-within") === false) return;
    const share = one.scrollTop / Math.max(1, one.scrollHeight - one.clientHeight);
    other.scrollTop = share * (other.scrollHeight - other.clientHeight);
  };
  return (
    <div className={styles.pair}>
      <div className={styles.context} data-open={wholePath}>
        <Path history={asList(item.history)} whole={wholePath} />
      </div>
      <div className={styles.sides}>
        {item.answers.map((answer, side) => (
          <section
            key={side}
            ref={(element) => {
              panes.current[side] = element;
            }}
            className={styles.pane}
            data-scrolls=""
            onScroll={() => follow(side)}
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
            tabIndex={0}
            aria-label={side === 0 ? "Answer A" : "Answer B"}
          >
            <h2 className={styles.side}>
              <span className={styles.letter}>{side === 0 ? "A" : "B"}</span>
              <Whose revealed={revealed[side]} />
            </h2>
            <Message
              message={answer ?? { role: "assistant", content: null }}
              instead={
                diff && (texts[0] || texts[1]) ? (
                  <WordDiff
                    before={texts[0] ?? ""}
                    after={texts[1] ?? ""}
                    side={side === 0 ? "before" : "after"}
                  />
                ) : undefined
              }
            />
          </section>
        ))}
      </div>
    </div>
  );
}

function Whose({ revealed }: { revealed: Revealed | undefined }) {
  if (!revealed) return null;
  return (
    <span className={styles.whose}>
      {revealed.model} <span className="soft">{revealed.branch_kind.replaceAll("_", " ")}</span>
    </span>
  );
}

export function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(message: unknown): string {
  return partsOf(message ?? {})
    .map((part) => (part.kind === "text" ? part.text : ""))
    .filter(Boolean)
    .join("\n");
}
