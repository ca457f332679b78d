import { Link } from "wouter";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { count, duration, figure, percent, shortId } from "../../parts/format";
import { Message } from "../../parts/Message";
import { WordDiff } from "../../parts/WordDiff";
import { money } from "../form/words";
import styles from "./compare.module.css";
import { type Answer, wordsOf } from "./figures";

type Props = {
  answer: Answer;
  base: Answer | undefined;
  compared: boolean;
  onBase: (branch: string) => void;
};

/** One answer with its figures; its words as they are, or as they differ from the base's. */
export function AnswerCard({ answer, base, compared, onBase }: Props) {
  const isBase = answer.branch_index === base?.branch_index;
  const differs = compared && !isBase && base !== undefined;
  return (
    <article
      className={isBase ? `${styles.card} ${styles.base}` : styles.card}
      aria-label={`Answer ${answer.branch_index}: ${answer.words}`}
    >
      <header>
        <h3 title={answer.words}>
          <span className="soft">#{answer.branch_index}</span> {answer.words}
        </h3>
        {isBase ? (
          <Chip tone="accent">base</Chip>
        ) : (
          <Button kind="quiet" className={styles.toBase} onClick={() => onBase(String(answer.branch_index))}>
            Use as base
          </Button>
        )}
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className={styles.text} aria-label={`Text of answer ${answer.branch_index}`} tabIndex={0}>
        {answer.answer === null || answer.answer === undefined ? (
          <p className="soft">
            There is no answer: the call {answer.run_status === "ok" ? "is open" : "failed"}.
          </p>
        ) : differs ? (
          <WordDiff before={wordsOf(base.answer)} after={wordsOf(answer.answer)} />
        ) : (
          <Message message={answer.answer} />
        )}
      </section>
      <footer>
        <Link href={`/nodes/${answer.node_id}`} className="mono" title={`${answer.node_id}, in its tree`}>
          {shortId(answer.node_id)}
        </Link>
        <span title={answer.model_snapshot_id}>{answer.model}</span>
        {answer.run_status !== "ok" && <Chip tone="bad">{answer.run_status}</Chip>}
        {answer.superseded && <Chip tone="warn">superseded</Chip>}
        {answer.completion_tokens !== null && <span>{count(answer.completion_tokens)} tokens</span>}
        <span>{duration(answer.seconds * 1000)}</span>
        {answer.cost !== null && <span>cost {money(answer.cost)}</span>}
        {answer.reward !== null && (
          <span title={answer.reward_source ?? ""}>reward {figure(answer.reward)}</span>
        )}
        {answer.fidelity !== null && <span>fidelity {percent(answer.fidelity)}</span>}
      </footer>
    </article>
  );
}
