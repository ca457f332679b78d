import { type Graph, pathTo } from "./graph";

/** A tree as a list: a node, then what branches off it (one level deeper), then the line goes on (same level). */
export type Outline = { node: Int32Array; level: Int32Array; rowOf: Int32Array };

/** The rows of a tree's list, in linear time. */
export function outlineOf(graph: Graph): Outline {
  const node = new Int32Array(graph.size);
  const level = new Int32Array(graph.size);
  const rowOf = new Int32Array(graph.size);
  let row = 0;
  const waiting: [number, number][] = graph.size > 0 ? [[0, 1]] : [];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [at, deep] = next;
    node[row] = at;
    level[row] = deep;
    rowOf[at] = row++;
    const main = graph.main[at] as number;
    if (main >= 0) waiting.push([main, deep]);
    const begin = graph.start[at] as number;
    for (let place = (graph.start[at + 1] as number) - 1; place >= begin; place--) {
      const child = graph.children[place] as number;
      if (child !== main) waiting.push([child, deep + 1]);
    }
  }
  return { node, level, rowOf };
}

/** The next of some nodes after one in the list's order, or before it; it goes round. -1 where there are none. */
export function nextOf(outline: Outline, among: readonly number[], from: number, step: 1 | -1): number {
  if (among.length === 0) return -1;
  const rows = among.map((node) => outline.rowOf[node] as number).sort((a, b) => a - b);
  const here = from < 0 ? -1 : (outline.rowOf[from] as number);
  const ahead = step > 0 ? rows.find((row) => row > here) : rows.findLast((row) => row < here);
  return outline.node[ahead ?? (step > 0 ? rows[0] : rows.at(-1)) ?? 0] as number;
}

/** Whether nodes answer the same question: they have one parent. */
export function areSiblings(graph: Graph, nodes: readonly number[]): boolean {
  return nodes.length > 1 && nodes.every((node) => graph.parent[node] === graph.parent[nodes[0] as number]);
}

/** The last node that the ways to all of these have in common. */
export function commonNode(graph: Graph, nodes: readonly number[]): number {
  if (nodes.length === 0) return -1;
  const paths = nodes.map((node) => pathTo(graph, node));
  let last = -1;
  for (let step = 0; ; step++) {
    const at = paths[0]?.[step];
    if (at === undefined || !paths.every((path) => path[step] === at)) return last;
    last = at;
  }
}
