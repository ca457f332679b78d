import { useEffect, useMemo, useRef, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { Button } from "../../parts/Button";
import { CopyLink } from "../../parts/CopyLink";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { counted, shortId } from "../../parts/format";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useShortcuts } from "../../parts/shortcuts";
import { useNarrow } from "../../parts/useNarrow";
import { useUrlState } from "../../parts/useUrlState";
import type { PageProps } from "../../shell/page";
import { nodeOf, pathTo } from "./graph";
import { Legend } from "./Legend";
import { layOut, runsHiding } from "./layout";
import { type Direction, moveFrom } from "./moving";
import { OutlineList } from "./OutlineList";
import { nextOf, outlineOf } from "./outline";
import { SideBySide } from "./SideBySide";
import styles from "./TreePage.module.css";
import { type PictureHandle, TreePicture } from "./TreePicture";
import { TreeSearch, useHits } from "./TreeSearch";
import { TurnPanel } from "./TurnPanel";
import { type Tree, useTree } from "./useTree";
import { oneLine } from "./words";

/** A session's tree: its picture and its list, and beside them the turn that is selected or the answers compared. */
export default function TreePage({ params }: PageProps) {
  const id = params.id ?? "";
  const { tree, error, retry } = useTree(id);
  if (!tree)
    return (
      <Page title="Session" crumbs={[{ label: "Sessions", href: "/sessions" }]}>
        {error ? <Failed error={error} retry={retry} /> : <Loading what="tree" />}
      </Page>
    );
  return <TreeView key={tree.shape.session.session_id} id={id} tree={tree} />;
}

const MOST_COMPARED = 6;

function TreeView({ id, tree }: { id: string; tree: Tree }) {
  const { shape, graph, words } = tree;
  const { session } = shape;
  const [, go] = useLocation();
  const [search, setSearch] = useSearchParams();
  const narrow = useNarrow(1000);
  const [text, setText] = useUrlState("q");
  const [runs, setRuns] = useUrlState("runs", "folded");
  const [view, setView] = useUrlState("view", narrow ? "list" : "picture");
  const [legend, setLegend] = useState(false);
  const [expanded, setExpanded] = useState<ReadonlySet<number>>(new Set());
  const field = useRef<HTMLInputElement>(null);
  const picture = useRef<PictureHandle>(null);

  const selected = search.get("node") ? nodeOf(graph, search.get("node") ?? "") : -1;
  const comparedIds = search.get("compare") ?? "";
  const compared = useMemo(
    () =>
      comparedIds
        .split(",")
        .map((each) => nodeOf(graph, each))
        .filter((node) => node >= 0),
    [comparedIds, graph],
  );
  const { hits, searching } = useHits(id, text, graph, words);
  const outline = useMemo(() => outlineOf(graph), [graph]);
  const hitNodes = useMemo(() => {
    if (!text) return null;
    const found = new Uint8Array(graph.size);
    for (const node of hits) found[node] = 1;
    return found;
  }, [graph, text, hits]);
  const lit = useMemo(() => {
    const way = new Uint8Array(graph.size);
    if (selected >= 0) for (const node of pathTo(graph, selected)) way[node] = 1;
    return way;
  }, [graph, selected]);
  const folded = runs === "folded";
  const plain = useMemo(() => layOut(graph, folded, expanded), [graph, folded, expanded]);
  // What is selected or compared is never hidden in a run.
  const layout = useMemo(() => {
    const hiding = runsHiding(plain, [...compared, ...(selected >= 0 ? [selected] : [])]);
    return hiding.length > 0
      ? layOut(graph, folded, new Set([...expanded, ...allOf(plain, graph, hiding)]))
      : plain;
  }, [plain, graph, folded, expanded, selected, compared]);
  useEffect(() => {
    if (selected >= 0) picture.current?.reveal(selected);
  }, [selected]);

  const state = (values: Record<string, string>, push = false) =>
    setSearch(
      (old) => {
        const next = new URLSearchParams(old);
        for (const [name, value] of Object.entries(values)) value ? next.set(name, value) : next.delete(name);
        return next;
      },
      { replace: !push },
    );
  const idOf = (node: number) => (node >= 0 ? (graph.ids[node] ?? "") : "");
  const select = (node: number, push = false) => state({ node: idOf(node) }, push);
  const toggle = (node: number) => {
    if (node < 0) return;
    const next = compared.includes(node)
      ? compared.filter((each) => each !== node)
      : [...compared, node].slice(-MOST_COMPARED);
    state({ compare: next.map(idOf).join(","), node: idOf(node) }, true);
  };
  const pick = (node: number, add: boolean) => {
    if (!add) select(node, true);
    else if (compared.length === 0 && selected >= 0 && selected !== node)
      state({ compare: [selected, node].map(idOf).join(","), node: idOf(node) }, true);
    else toggle(node);
  };
  const move = (direction: Direction) =>
    select(selected < 0 ? 0 : moveFrom(graph, layout, selected, direction));
  const step = (by: 1 | -1) => {
    const next = nextOf(outline, hits, selected, by);
    if (next >= 0) select(next);
  };
  const expand = (node: number) => setExpanded(new Set([...expanded, ...allOf(layout, graph, [node])]));

  const showWay = () => {
    if (selected < 0) return;
    const hidden = runsHiding(layout, pathTo(graph, selected));
    setExpanded(new Set([...expanded, ...allOf(layout, graph, hidden)]));
  };

  useShortcuts("Tree", [
    { keys: "ArrowLeft | h", does: "To the parent", run: () => move("parent") },
    { keys: "ArrowRight | l", does: "To the next turn", run: () => move("child") },
    { keys: "ArrowUp | k", does: "To the sibling above", run: () => move("up") },
    { keys: "ArrowDown | j", does: "To the sibling below", run: () => move("down") },
    { keys: "Home", does: "To the root", run: () => move("root") },
    { keys: "End", does: "To the end of the path", run: () => move("leaf") },
    { keys: "Space | x", does: "Add to the comparison, or remove", run: () => toggle(selected) },
    { keys: "Enter", does: "Read the turn", run: () => document.getElementById("turn")?.focus() },
    { keys: "/", does: "Search in the tree", run: () => field.current?.focus() },
    { keys: "n", does: "Next hit", run: () => step(1) },
    { keys: "N", does: "Previous hit", run: () => step(-1) },
    { keys: "o", does: "Show each turn on the path from the root", run: showWay },
    { keys: "f", does: "Fold or show runs", run: () => setRuns(folded ? "all" : "folded") },
    { keys: "r", does: "Replay from here", run: () => selected > 0 && go(`/replay?nodes=${idOf(selected)}`) },
    { keys: "+ | =", does: "Zoom in", run: () => picture.current?.zoom(1.5) },
    { keys: "-", does: "Zoom out", run: () => picture.current?.zoom(1 / 1.5) },
    { keys: "0", does: "Show all of the tree", run: () => picture.current?.seeAll() },
    { keys: "Escape", does: "Close the turn", run: () => state({ node: "", compare: "" }) },
  ]);

  const title =
    oneLine(session.opening ?? "") || session.external_id || `Session ${shortId(session.session_id)}`;
  const label = `Picture of the tree: ${counted(graph.size, "node")}. The list has the same for screen readers.`;
  const both = !narrow;
  const comparing = compared.length > 1;
  return (
    <Page
      title={title.length > 90 ? `${title.slice(0, 89)}…` : title}
      windowTitle={title.slice(0, 60)}
      crumbs={[{ label: "Sessions", href: "/sessions" }]}
      about={aboutOf(tree)}
      actions={<CopyLink />}
      full
    >
      <div className={styles.tools}>
        <TreeSearch
          text={text}
          onText={setText}
          hits={[...hits].sort((a, b) => (outline.rowOf[a] as number) - (outline.rowOf[b] as number))}
          at={selected}
          searching={searching}
          onStep={step}
          field={field}
        />
        <label className={styles.check}>
          <input
            type="checkbox"
            checked={folded}
            onChange={(event) => {
              setExpanded(new Set());
              setRuns(event.target.checked ? "folded" : "all");
            }}
          />
          Fold runs
        </label>
        <div className={styles.views}>
          {narrow ? (
            <Button
              onClick={() => setView(view === "list" ? "picture" : "list")}
              icon={view === "list" ? "tree" : "list"}
            >
              {view === "list" ? "Picture" : "List"}
            </Button>
          ) : (
            <Button
              kind="quiet"
              aria-pressed={view !== "alone"}
              icon="list"
              onClick={() => setView(view === "alone" ? "picture" : "alone")}
            >
              List
            </Button>
          )}
          <Button kind="quiet" aria-pressed={legend} onClick={() => setLegend(!legend)}>
            Legend
          </Button>
        </div>
      </div>
      {legend && <Legend kinds={kindsIn(tree)} />}
      <div
        className={styles.body}
        data-panel={comparing ? "wide" : selected >= 0 ? "turn" : undefined}
        data-list={both && view !== "alone" ? true : undefined}
      >
        {(both ? view !== "alone" : view === "list") && (
          <div className={styles.list}>
            <OutlineList
              {...{ shape, words, graph, outline, selected, compared }}
              hits={hitNodes}
              onPick={pick}
            />
          </div>
        )}
        {(both || view !== "list") && (
          <div className={styles.picture}>
            <TreePicture
              {...{ shape, words, graph, layout, selected, compared, lit, label }}
              hits={hitNodes}
              onPick={pick}
              onExpand={expand}
              handle={picture}
            />
          </div>
        )}
        {comparing ? (
          <SideBySide
            nodes={compared.map(idOf)}
            onClose={() => state({ compare: "" })}
            onRemove={(node) => toggle(graph.place.get(node) ?? -1)}
          />
        ) : (
          selected >= 0 && (
            <TurnPanel
              key="turn"
              node={idOf(selected)}
              tree={tree}
              place={selected}
              compared={compared.length}
              onCompare={() => toggle(selected)}
              onGo={(node) => {
                const here = graph.place.get(node);
                if (here === undefined) go(`/nodes/${node}`);
                else select(here, true);
              }}
              onSiblings={(ids) => state({ compare: ids.slice(0, MOST_COMPARED).join(",") }, true)}
              onClose={() => state({ node: "" })}
            />
          )
        )}
      </div>
      {graph.size === 1 && (
        <Empty title="Nothing was answered yet">
          The turns of this session appear here as they are captured.
        </Empty>
      )}
    </Page>
  );
}

/** All nodes of the runs that start with these. */
function allOf(layout: ReturnType<typeof layOut>, graph: Tree["graph"], firsts: readonly number[]): number[] {
  const found: number[] = [];
  for (const first of firsts) {
    const mark = layout.markOf[first] as number;
    for (let node = layout.last[mark] as number; ; node = graph.parent[node] as number) {
      found.push(node);
      if (node === layout.first[mark]) break;
    }
  }
  return found;
}

function kindsIn({ graph, shape }: Tree): string[] {
  const kinds = new Set(graph.kind);
  return shape.names.kinds.filter((_, kind) => kinds.has(kind));
}

function aboutOf({ shape }: Tree): string {
  const { session } = shape;
  const parts = [
    counted(session.turns, "turn"),
    counted(session.nodes, "node"),
    session.replays ? counted(session.replays, "replay") : "",
    session.errors ? counted(session.errors, "error") : "",
    session.theme ? `theme ${session.theme}` : "",
    session.reward !== null ? `outcome ${session.reward}` : "",
    shape.names.models.filter(Boolean).join(", "),
  ];
  return parts.filter(Boolean).join(" · ");
}
