import { childrenOf, type Graph } from "./graph";
import { type Layout, markAt } from "./layout";

export type Direction = "parent" | "child" | "up" | "down" | "root" | "leaf";

/**
 * The node that a key leads to: to the parent, to the child that the line goes on with, up and down to a sibling or, where
 * there is none, to the nearest mark in that direction. The same node where there is nothing.
 */
export function moveFrom(graph: Graph, layout: Layout, node: number, direction: Direction): number {
  switch (direction) {
    case "parent":
      return Math.max(graph.parent[node] as number, 0);
    case "child": {
      const below = graph.main[node] as number;
      return below < 0 ? node : below;
    }
    case "root":
      return 0;
    case "leaf": {
      let at = node;
      while ((graph.main[at] as number) >= 0) at = graph.main[at] as number;
      return at;
    }
    default:
      return sibling(graph, layout, node, direction === "down" ? 1 : -1);
  }
}

function sibling(graph: Graph, layout: Layout, node: number, step: 1 | -1): number {
  const mark = layout.markOf[node] as number;
  const row = layout.row[mark] as number;
  const up = graph.parent[node] as number;
  let nearest = -1;
  let far = Number.POSITIVE_INFINITY;
  for (const other of up < 0 ? [] : childrenOf(graph, up)) {
    const apart = ((layout.row[layout.markOf[other] as number] as number) - row) * step;
    if (apart > 0 && apart < far) {
      far = apart;
      nearest = other;
    }
  }
  if (nearest >= 0) return nearest;
  const column = layout.column[mark] as number;
  for (let at = row + step; at >= 0 && at < layout.rows && Math.abs(at - row) <= NEAR_ROWS; at += step) {
    for (let aside = 0; aside <= NEAR_COLUMNS; aside++) {
      for (const side of aside === 0 ? [0] : [-aside, aside]) {
        const found = markAt(layout, column + side, at);
        if (found >= 0) return layout.first[found] as number;
      }
    }
  }
  return node;
}

const NEAR_ROWS = 12;
const NEAR_COLUMNS = 6;
