import { type RefObject, useEffect, useImperativeHandle, useRef, useState } from "react";
import { Button } from "../../parts/Button";
import { factsOf, kindLine } from "./facts";
import type { Graph, Shape, Words } from "./graph";
import type { Layout } from "./layout";
import type { Scene } from "./paint";
import { TreeCanvas } from "./TreeCanvas";
import styles from "./TreePicture.module.css";
import { answerLine, questionLine } from "./words";

export type PictureHandle = {
  reveal: (node: number) => void;
  seeAll: () => void;
  zoom: (factor: number) => void;
};

type Props = {
  shape: Shape;
  words?: Words;
  graph: Graph;
  layout: Layout;
  selected: number;
  compared: readonly number[];
  lit: Uint8Array;
  hits: Uint8Array | null;
  label: string;
  onPick: (node: number, add: boolean) => void;
  onExpand: (node: number) => void;
  handle?: RefObject<PictureHandle | null>;
};

/** The tree on a canvas, with a card for what the pointer is over, buttons to zoom and a small map of all. */
export function TreePicture({ onPick, onExpand, handle, label, ...scene }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const map = useRef<HTMLCanvasElement>(null);
  const picture = useRef<TreeCanvas | null>(null);
  const [hovered, setHovered] = useState<{ node: number; x: number; y: number } | null>(null);
  const calls = useRef({ onPick, onExpand });
  calls.current = { onPick, onExpand };
  useEffect(() => {
    if (!canvas.current || !map.current) return;
    const made = new TreeCanvas(canvas.current, map.current, {
      pick: (node, add) => calls.current.onPick(node, add),
      expand: (node) => calls.current.onExpand(node),
      hover: (node, x, y) => setHovered(node < 0 ? null : { node, x, y }),
    });
    picture.current = made;
    return () => {
      made.close();
      picture.current = null;
    };
  }, []);
  useImperativeHandle(handle, () => ({
    reveal: (node) => picture.current?.reveal(node),
    seeAll: () => picture.current?.seeAll(),
    zoom: (factor) => picture.current?.zoom(factor),
  }));
  const { shape, words, graph, layout, selected, compared, lit, hits } = scene;
  useEffect(() => {
    const shown: Omit<Scene, "rooms"> = {
      shape,
      words,
      graph,
      layout,
      selected,
      compared,
      lit,
      hits,
      hovered: -1,
    };
    picture.current?.show(shown, selected);
  }, [shape, words, graph, layout, selected, compared, lit, hits]);
  return (
    <div className={styles.picture}>
      <canvas ref={canvas} className={styles.canvas} role="img" aria-label={label} />
      {hovered && hovered.node < graph.size && (
        <HoverCard {...hovered} {...{ shape, words, graph, layout }} />
      )}
      <div className={styles.zoom}>
        <Button
          icon="plus"
          aria-label="Zoom in"
          title="Zoom in (+)"
          onClick={() => picture.current?.zoom(1.5)}
        />
        <Button
          icon="minus"
          aria-label="Zoom out"
          title="Zoom out (-)"
          onClick={() => picture.current?.zoom(1 / 1.5)}
        />
        <Button title="Show all (0)" onClick={() => picture.current?.seeAll()}>
          All
        </Button>
      </div>
      <canvas ref={map} className={styles.map} role="img" aria-label="Map of the whole tree" />
    </div>
  );
}

type CardProps = {
  node: number;
  x: number;
  y: number;
  shape: Shape;
  words?: Words;
  graph: Graph;
  layout: Layout;
};

function HoverCard({ node, x, y, shape, words, graph, layout }: CardProps) {
  const count = layout.count[layout.markOf[node] as number] as number;
  const card = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = card.current;
    const room = box?.parentElement;
    if (!box || !room) return;
    const left = x + 16 + box.offsetWidth > room.clientWidth ? x - 16 - box.offsetWidth : x + 16;
    const top = y + 16 + box.offsetHeight > room.clientHeight ? y - 16 - box.offsetHeight : y + 16;
    box.style.transform = `translate(${Math.max(left, 4)}px, ${Math.max(top, 4)}px)`;
  });
  return (
    <div ref={card} className={styles.card}>
      {count > 1 ? (
        <>
          <b>{count} turns</b>
          <p className={styles.words}>{questionLine(words, node) || answerLine(words, node)}</p>
          <span className="soft">No branches here. Click to show each turn.</span>
        </>
      ) : (
        <>
          <b>{kindLine(shape, node)}</b>
          {questionLine(words, node) && <p className={styles.asked}>{questionLine(words, node)}</p>}
          {answerLine(words, node) && <p className={styles.words}>{answerLine(words, node)}</p>}
          <dl className={styles.facts}>
            {factsOf(shape, graph, node).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </div>
  );
}
