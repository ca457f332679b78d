import { useEffect, useMemo, useRef, useState } from "react";
import { Button } from "../../parts/Button";
import { counted, shortId } from "../../parts/format";
import { KindMark } from "../../parts/KindMark";
import { Message } from "../../parts/Message";
import { useShortcuts } from "../../parts/shortcuts";
import { factsOf } from "../tree/facts";
import { graphOf, nodeOf, pathTo } from "../tree/graph";
import { History } from "../tree/History";
import { Legend } from "../tree/Legend";
import { layOut, runsHiding } from "../tree/layout";
import { type Direction, moveFrom } from "../tree/moving";
import { OutlineList } from "../tree/OutlineList";
import { nextOf, outlineOf } from "../tree/outline";
import { type PictureHandle, TreePicture } from "../tree/TreePicture";
import panel from "../tree/TurnPanel.module.css";
import { historyOf, messageOf, type SnapshotData } from "./data";
import styles from "./SnapshotPage.module.css";
import { nodesHolding } from "./searching";

/** A tree that was saved as a file: the same picture and list, and each turn in full. */
export function SnapshotPage({ data }: { data: SnapshotData }) {
  const { shape, words } = data;
  const graph = useMemo(() => graphOf(shape), [shape]);
  const outline = useMemo(() => outlineOf(graph), [graph]);
  const [selected, setSelected] = useState(() => nodeOf(graph, window.location.hash.slice(1)));
  const [folded, setFolded] = useState(true);
  const [expanded, setExpanded] = useState<ReadonlySet<number>>(new Set());
  const [text, setText] = useState("");
  const [legend, setLegend] = useState(false);
  const picture = useRef<PictureHandle>(null);
  const field = useRef<HTMLInputElement>(null);
  const hits = useMemo(() => (text.trim() ? nodesHolding(data, text) : []), [data, text]);
  const hitNodes = useMemo(() => {
    if (!text.trim()) return null;
    const found = new Uint8Array(graph.size);
    for (const node of hits) found[node] = 1;
    return found;
  }, [graph, hits, text]);
  const lit = useMemo(() => {
    const way = new Uint8Array(graph.size);
    if (selected >= 0) for (const node of pathTo(graph, selected)) way[node] = 1;
    return way;
  }, [graph, selected]);
  const layout = useMemo(() => {
    const plain = layOut(graph, folded, expanded);
    const hidden = selected >= 0 ? runsHiding(plain, [selected]) : [];
    return hidden.length > 0
      ? layOut(graph, folded, new Set([...expanded, ...pathTo(graph, selected)]))
      : plain;
  }, [graph, folded, expanded, selected]);
  useEffect(() => {
    document.title = data.title;
  }, [data.title]);
  useEffect(() => {
    if (selected >= 0) {
      picture.current?.reveal(selected);
      window.history.replaceState(null, "", `#${graph.ids[selected]}`);
    }
  }, [selected, graph]);
  const move = (direction: Direction) =>
    setSelected(selected < 0 ? 0 : moveFrom(graph, layout, selected, direction));
  const step = (by: 1 | -1) => {
    const next = nextOf(outline, hits, selected, by);
    if (next >= 0) setSelected(next);
  };
  useShortcuts("Tree", [
    { keys: "ArrowLeft", does: "To the parent", run: () => move("parent") },
    { keys: "ArrowRight", does: "To the child", run: () => move("child") },
    { keys: "ArrowUp", does: "To the sibling above", run: () => move("up") },
    { keys: "ArrowDown", does: "To the sibling below", run: () => move("down") },
    { keys: "Home", does: "To the root", run: () => move("root") },
    { keys: "End", does: "To the end of the path", run: () => move("leaf") },
    { keys: "/", does: "Search", run: () => field.current?.focus() },
    { keys: "n", does: "Next hit", run: () => step(1) },
    { keys: "N", does: "Previous hit", run: () => step(-1) },
    { keys: "0", does: "Show all", run: () => picture.current?.seeAll() },
    { keys: "Escape", does: "Close the turn", run: () => setSelected(-1) },
  ]);
  const used = new Set(graph.kind);
  return (
    <main className={styles.page}>
      <header className={styles.head}>
        <h1>{data.title}</h1>
        <p className="soft">
          {counted(data.session.turns, "turn")} · {counted(graph.size, "node")} · saved{" "}
          {new Date(data.made_at).toLocaleString()} by Regraft {data.version}
          {data.left_out > 0 &&
            ` · ${counted(data.left_out, "message")} left out: the file would be too large`}
        </p>
        <div className={styles.tools}>
          <search>
            <input
              ref={field}
              type="search"
              aria-label="Search in this tree"
              placeholder="Search in this tree ( / )"
              value={text}
              onChange={(event) => setText(event.target.value)}
              onKeyDown={(event) => event.key === "Enter" && step(event.shiftKey ? -1 : 1)}
            />{" "}
            {text.trim() && (
              <output className="soft">{hits.length ? counted(hits.length, "hit") : "none"}</output>
            )}
          </search>
          <label>
            <input
              type="checkbox"
              checked={folded}
              onChange={(event) => {
                setExpanded(new Set());
                setFolded(event.target.checked);
              }}
            />{" "}
            Fold runs
          </label>
          <Button kind="quiet" aria-pressed={legend} onClick={() => setLegend(!legend)}>
            Legend
          </Button>
        </div>
        {legend && <Legend kinds={shape.names.kinds.filter((_, kind) => used.has(kind))} />}
      </header>
      <div className={styles.body} data-turn={selected >= 0 || undefined}>
        <div className={styles.list}>
          <OutlineList
            {...{ shape, words, graph, outline, selected }}
            compared={[]}
            hits={hitNodes}
            onPick={setSelected}
          />
        </div>
        <TreePicture
          {...{ shape, words, graph, layout, selected, lit }}
          compared={[]}
          hits={hitNodes}
          label={`Picture of the tree: ${counted(graph.size, "node")}. The list has the same.`}
          onPick={setSelected}
          onExpand={(node) => {
            const mark = layout.markOf[node] as number;
            const run = pathTo(graph, layout.last[mark] as number).slice(-(layout.count[mark] as number));
            setExpanded(new Set([...expanded, ...run]));
          }}
          handle={picture}
        />
        {selected >= 0 && <Turn data={data} node={selected} onClose={() => setSelected(-1)} />}
      </div>
    </main>
  );
}

function Turn({ data, node, onClose }: { data: SnapshotData; node: number; onClose: () => void }) {
  const { shape } = data;
  const graph = useMemo(() => graphOf(shape), [shape]);
  const answer = messageOf(data, data.answered[node] ?? -1);
  return (
    <section className={panel.panel} aria-label="Turn">
      <header className={panel.head}>
        <div className={panel.names}>
          <KindMark kind={shape.names.kinds[shape.nodes.kind[node] as number] ?? ""} />
          <span className="soft mono">{shortId(shape.nodes.id[node] ?? "")}</span>
        </div>
        <Button kind="quiet" icon="close" aria-label="Close the turn" onClick={onClose} />
      </header>
      <div className={panel.content} key={node}>
        <History messages={historyOf(data, node)} />
        <h2>Answer</h2>
        {answer === null ? <p className="soft">There was no answer.</p> : <Message message={answer} />}
        <dl className={panel.facts}>
          {factsOf(shape, graph, node).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </section>
  );
}
