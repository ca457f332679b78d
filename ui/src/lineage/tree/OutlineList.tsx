import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useId, useRef } from "react";
import { KindMark } from "../../parts/KindMark";
import { type Graph, type Shape, Special, type Words } from "./graph";
import styles from "./OutlineList.module.css";
import type { Outline } from "./outline";
import { answerLine, questionLine } from "./words";

type Props = {
  shape: Shape;
  words?: Words;
  graph: Graph;
  outline: Outline;
  selected: number;
  compared: readonly number[];
  hits: Uint8Array | null;
  onPick: (node: number, add: boolean) => void;
};

const ROW = 26;
const DEEPEST = 12; // levels that are indented

/** The tree as a list that screen readers can walk: what branches off a node is a level deeper. Arrow keys are the page's. */
export function OutlineList({ shape, words, graph, outline, selected, compared, hits, onPick }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const rows = useVirtualizer({
    count: graph.size,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const row = selected < 0 ? -1 : (outline.rowOf[selected] as number);
  useEffect(() => {
    if (row < 0) return;
    rows.scrollToIndex(row, { align: "auto" });
    // The turn that opens beside or below takes room from the list.
    const frame = requestAnimationFrame(() => rows.scrollToIndex(row, { align: "auto" }));
    return () => cancelAnimationFrame(frame);
  }, [row, rows]);
  return (
    <div
      ref={box}
      className={styles.box}
      role="tree"
      tabIndex={0}
      aria-label="Turns of the tree"
      aria-multiselectable="true"
      aria-activedescendant={row >= 0 ? `${id}-${selected}` : undefined}
    >
      <div className={styles.all} role="presentation" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map((item) => {
          const node = outline.node[item.index] as number;
          const level = outline.level[item.index] as number;
          const kind = shape.names.kinds[shape.nodes.kind[node] as number] ?? "";
          const text = answerLine(words, node) || questionLine(words, node);
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the page's keys move and pick
            <div
              key={node}
              id={`${id}-${node}`}
              role="treeitem"
              tabIndex={-1}
              aria-level={level}
              aria-selected={node === selected || compared.includes(node)}
              className={styles.row}
              data-selected={node === selected || undefined}
              data-compared={compared.includes(node) || undefined}
              data-hit={hits?.[node] ? true : undefined}
              style={{
                transform: `translateY(${item.start}px)`,
                paddingInlineStart: `${Math.min(level - 1, DEEPEST) * 12 + 8}px`,
              }}
              onClick={(event) => onPick(node, event.ctrlKey || event.metaKey || event.shiftKey)}
            >
              <KindMark kind={kind} bare />
              <span className={styles.text}>{text || (node === 0 ? "Start" : "(no words)")}</span>
              <Flags shape={shape} graph={graph} node={node} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** What is special about a node, in signs with words behind them. */
function Flags({ shape, graph, node }: { shape: Shape; graph: Graph; node: number }) {
  const special = graph.special[node] as number;
  const status = shape.names.statuses[shape.nodes.status[node] as number];
  const outcome = shape.nodes.outcome[node] ?? null;
  const flags: [string, string, string][] = [];
  if (special & Special.trouble) flags.push(["bad", "✕", status ?? "error"]);
  if (special & Special.stale) flags.push(["warn", "◌", "stale"]);
  if (special & Special.pivot) flags.push(["info", "◇", "pivot"]);
  if (special & Special.link) flags.push(["info", "⇗", "linked with another session"]);
  if (outcome !== null)
    flags.push([outcome >= 0.5 ? "good" : "bad", outcome.toFixed(2), `outcome ${outcome}`]);
  return flags.map(([tone, sign, words]) => (
    <span key={words} className={`${styles.flag} ${styles[tone]}`} title={words}>
      <span aria-hidden="true">{sign}</span>
      <span className="visually-hidden">{words}</span>
    </span>
  ));
}
