import { useQueries } from "@tanstack/react-query";
import { Link } from "wouter";
import { client, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { duration, percent, shortId } from "../../parts/format";
import { KindMark } from "../../parts/KindMark";
import { Loading } from "../../parts/Loading";
import { Message } from "../../parts/Message";
import { useUrlState } from "../../parts/useUrlState";
import { WordDiff } from "../../parts/WordDiff";
import styles from "./TurnPanel.module.css";

type Props = { nodes: readonly string[]; onClose: () => void; onRemove: (node: string) => void };

/** Longer answers are compared up to here, so that the page stays quick. */
const LONGEST = 100_000;

/** Answers beside each other; the words that differ from the first one are marked. */
export function SideBySide({ nodes, onClose, onRemove }: Props) {
  const [marked, setMarked] = useUrlState("words", "marked");
  const found = useQueries({
    queries: nodes.map((id) => ({
      queryKey: ["node", id],
      queryFn: async () =>
        (await client.GET("/api/nodes/{id}", { params: { path: { id }, query: { limit: 1 } } })).data,
      staleTime: 30_000,
    })),
  });
  const first = found[0]?.data;
  const common =
    first && found.every((each) => !each.data || each.data.parent_node_id === first.parent_node_id);
  const asked = Array.isArray(first?.history) ? first.history.at(-1) : undefined;
  return (
    <section className={styles.panel} id="turn" tabIndex={-1} aria-label="Answers side by side" data-own-keys>
      <header className={styles.head}>
        <div className={styles.names}>
          <h2>Side by side</h2>
          {first && !common && <Chip tone="warn">not the same question</Chip>}
        </div>
        <div className={styles.actions}>
          <Button
            aria-pressed={marked === "marked"}
            onClick={() => setMarked(marked === "marked" ? "plain" : "marked")}
          >
            {marked === "marked" ? "Plain text" : "Mark words"}
          </Button>
          <Link href={`/replay?nodes=${nodes.join(",")}`}>Replay all</Link>
          <Button kind="quiet" icon="close" aria-label="Close the comparison" onClick={onClose} />
        </div>
      </header>
      {asked !== undefined && common && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys
        <div className={styles.question} tabIndex={0}>
          <Message message={asked} />
        </div>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys */}
      <div className={styles.columns} tabIndex={0}>
        {found.map(({ data }, index) => (
          <Column
            key={nodes[index]}
            node={data}
            before={marked === "marked" && index > 0 ? textOf(first) : null}
            onRemove={() => onRemove(nodes[index] ?? "")}
          />
        ))}
      </div>
    </section>
  );
}

function textOf(node: Schema["Node"] | undefined): string {
  return (node?.run_records[0]?.answer_text ?? "").slice(0, LONGEST);
}

type ColumnProps = { node: Schema["Node"] | undefined; before: string | null; onRemove: () => void };

function Column({ node, before, onRemove }: ColumnProps) {
  if (!node) return <Loading what="answer" />;
  const run = node.run_records[0];
  return (
    <article className={styles.column}>
      <header>
        <KindMark kind={node.branch_kind} />
        <b>{run?.model}</b>
        <span className="soft mono" title={node.node_id}>
          {shortId(node.node_id)}
        </span>
        <span className="soft">{duration(run?.duration_ms)}</span>
        {run?.completion_tokens != null && <span className="soft">{run.completion_tokens} tokens</span>}
        {run?.fidelity != null && <Chip tone="info">fidelity {percent(run.fidelity)}</Chip>}
        {run?.reward != null && <Chip tone={run.reward >= 0.5 ? "good" : "bad"}>outcome {run.reward}</Chip>}
        {run && run.run_status !== "ok" && <Chip tone="bad">{run.run_status}</Chip>}
        <Button kind="quiet" icon="close" aria-label="Remove from the comparison" onClick={onRemove} />
      </header>
      {!run?.answer ? (
        <p className="soft">There was no answer.</p>
      ) : (
        <Message
          message={run.answer}
          instead={before && textOf(node) ? <WordDiff before={before} after={textOf(node)} /> : undefined}
        />
      )}
    </article>
  );
}
