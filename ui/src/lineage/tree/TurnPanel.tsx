import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { Link } from "wouter";
import { client, type Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import { Chip } from "../../parts/Chip";
import { Failed } from "../../parts/Failed";
import { counted, duration, percent, shortId } from "../../parts/format";
import { Icon } from "../../parts/Icon";
import { KindMark } from "../../parts/KindMark";
import { Loading } from "../../parts/Loading";
import { Message } from "../../parts/Message";
import { History } from "./History";
import { Judgements } from "./Judgements";
import { NodeLinks } from "./NodeLinks";
import { RawCall } from "./RawCall";
import { RunFacts } from "./RunFacts";
import styles from "./TurnPanel.module.css";
import type { Tree } from "./useTree";

type Props = {
  node: string;
  tree: Tree;
  place: number;
  compared: number;
  onCompare: () => void;
  onSiblings: (ids: string[]) => void;
  onGo: (node: string) => void;
  onClose: () => void;
};

const MOST = 100; // runs, children and alternatives that are shown

/** Everything about one turn: what it was asked, what it answered, its runs, what is said of it, where it is held. */
export function TurnPanel({ node, tree, place, compared, onCompare, onSiblings, onGo, onClose }: Props) {
  const wanted = useDeferredValue(node);
  const { data, error, refetch } = useQuery({
    queryKey: ["node", wanted, tree.shape.session.build],
    queryFn: async ({ signal }) =>
      (
        await client.GET("/api/nodes/{id}", {
          params: { path: { id: wanted }, query: { limit: MOST } },
          signal,
        })
      ).data,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
  const kind = tree.shape.names.kinds[tree.shape.nodes.kind[place] as number] ?? "";
  const isRoot = place === 0;
  return (
    <section className={styles.panel} id="turn" tabIndex={-1} aria-label="Turn" data-own-keys>
      <header className={styles.head}>
        <div className={styles.names}>
          <KindMark kind={kind} />
          <span className="soft mono" title={node}>
            {shortId(node)}
          </span>
          {tree.shape.nodes.replay[place] === 1 && <Chip tone="info">replay</Chip>}
          {tree.stale.has(node) && (
            <Chip tone="warn" title={tree.stale.get(node)}>
              stale
            </Chip>
          )}
        </div>
        <div className={styles.actions}>
          <Button kind="quiet" icon="close" aria-label="Close the turn" onClick={onClose} />
        </div>
      </header>
      {error ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !data ? (
        <Loading what="turn" />
      ) : (
        <div className={styles.content} data-late={data.node_id !== node || undefined}>
          {isRoot ? (
            <p className="soft">
              Where the session starts. {counted(data.children.length, "opening")} below it; the arrow keys go
              there.
            </p>
          ) : (
            <>
              <nav className={styles.links} aria-label="What to do with this turn">
                <Link href={`/replay?nodes=${node}`} className={styles.primary}>
                  <Icon name="replay" /> Replay from here
                </Link>
                <Button onClick={onCompare}>{compared > 0 ? "Compare with it" : "Select to compare"}</Button>
                {data.siblings.length > 1 && (
                  <Button
                    onClick={() =>
                      onSiblings([...new Set([node, ...data.siblings.map((each) => each.node_id)])])
                    }
                  >
                    Side by side ({new Set(data.siblings.map((each) => each.node_id)).size})
                  </Button>
                )}
                <Link href={`/compare/${node}`}>Table of variants</Link>
              </nav>
              {data.branch_reason && <p className="soft">{reasonOf(data)}</p>}
              <History messages={data.history} />
              <Answers node={data} stale={tree.stale.get(node)} />
              <Judgements node={node} />
              <NodeLinks node={data} tree={tree} onGo={onGo} />
            </>
          )}
        </div>
      )}
    </section>
  );
}

function reasonOf(node: Schema["Node"]): string {
  const evidence = node.parent_evidence ? ` Placed by ${node.parent_evidence.replaceAll("_", " ")}.` : "";
  return `${node.branch_reason}.${evidence}`.replace("..", ".");
}

/** The answer of one of the runs that gave the node, with the facts of that run. */
function Answers({ node, stale }: { node: Schema["Node"]; stale?: string }) {
  const [chosen, setChosen] = useState(0);
  const run = node.run_records[chosen] ?? node.run_records[0];
  if (!run) return null;
  return (
    <>
      <div className={styles.section}>
        <h2>Answer</h2>
        <span className="soft">{run.model}</span>
        {run.run_status !== "ok" && <Chip tone="bad">{run.run_status}</Chip>}
        {run.fidelity !== null && <Chip tone="info">fidelity {percent(run.fidelity)}</Chip>}
        {run.reward !== null && (
          <Chip tone={run.reward >= 0.5 ? "good" : "bad"} title={run.reward_source ?? undefined}>
            outcome {run.reward}
          </Chip>
        )}
        <span className="soft">{duration(run.duration_ms)}</span>
      </div>
      {node.run_records.length > 1 && (
        <div className={styles.runs}>
          {node.run_records.map((each, index) => (
            <Button key={each.run_id} aria-pressed={each === run} onClick={() => setChosen(index)}>
              Run {index + 1}
              {each.is_replay ? " (replay)" : ""}
            </Button>
          ))}
          {node.run_count > node.run_records.length && <span className="soft">of {node.run_count}</span>}
        </div>
      )}
      {run.answer ? <Message message={run.answer} /> : <p className="soft">There was no answer.</p>}
      {stale && <p className={styles.stale}>Stale: {stale}.</p>}
      <RunFacts run={run} />
      <RawCall key={run.run_id} run={run.run_id} />
    </>
  );
}
