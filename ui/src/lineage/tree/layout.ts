import { childCount, type Graph, Special } from "./graph";

/**
 * Where a tree's marks are. A mark is a node, or a run of nodes of which each is the only child of the one before. Marks
 * that follow each other along `main` are a line: it lies in one row, from column to column, and the lines that branch
 * off it lie below it.
 */
export type Layout = {
  /** The number of marks. */
  size: number;
  /** The first and the last node of each mark. */
  first: Int32Array;
  last: Int32Array;
  /** Nodes in each mark. */
  count: Int32Array;
  column: Int32Array;
  row: Int32Array;
  /** The mark of each node. */
  markOf: Int32Array;
  lines: Lines;
  columns: number;
  rows: number;
};

/** Line `l` holds the marks `from[l]` to `to[l] - 1`, hangs at column `up` of row `upRow` (-1: at nothing). */
export type Lines = {
  size: number;
  from: Int32Array;
  to: Int32Array;
  row: Int32Array;
  upRow: Int32Array;
  upColumn: Int32Array;
};

/** Shorter runs are not worth hiding. */
export const SHORTEST_RUN = 3;

/** Whether a node may be hidden in a run: one child, nothing special about it. */
function isPlain(graph: Graph, node: number): boolean {
  return graph.special[node] === Special.none && childCount(graph, node) === 1;
}

/**
 * Lay a tree out in rows and columns, in linear time but for what lines reach below others. `expanded` holds the first
 * nodes of runs that are shown node by node; with `collapse` off all are.
 */
export function layOut(graph: Graph, collapse: boolean, expanded: ReadonlySet<number>): Layout {
  const marks = new Marks(graph.size);
  const lines = new LineList();
  const bottom: number[] = []; // by column, the lowest row that is taken
  // Lines to place, the next one last: where each starts, and the mark that it hangs at.
  const waiting: { node: number; at: number }[] = graph.size > 0 ? [{ node: 0, at: -1 }] : [];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { at } = next;
    const from = marks.size;
    const begin = at < 0 ? 0 : (marks.column[at] as number) + 1;
    for (let node = next.node; node >= 0; ) {
      const first = node;
      let count = 1;
      if (collapse && isPlain(graph, node) && !expanded.has(node)) {
        let end = node;
        for (;;) {
          const below = graph.main[end] as number;
          if (below < 0 || !isPlain(graph, below) || expanded.has(below)) break;
          end = below;
          count += 1;
        }
        if (count >= SHORTEST_RUN) node = end;
        else count = 1;
      }
      marks.add(graph, first, node, count, begin + marks.size - from);
      node = graph.main[node] as number;
    }
    const to = marks.size;
    let row = at < 0 ? 0 : (marks.row[at] as number) + 1;
    for (let column = begin; column < begin + to - from; column++)
      row = Math.max(row, (bottom[column] ?? -1) + 1);
    for (let mark = from; mark < to; mark++) {
      marks.row[mark] = row;
      bottom[begin + mark - from] = row;
    }
    // Its connection comes down in the column before.
    if (begin > 0) bottom[begin - 1] = Math.max(row, bottom[begin - 1] ?? 0);
    lines.add(
      from,
      to,
      row,
      at < 0 ? -1 : (marks.row[at] as number),
      at < 0 ? -1 : (marks.column[at] as number),
    );
    // What branches off deepest lies nearest, so that no connection crosses a line.
    for (let mark = from; mark < to; mark++) {
      const node = marks.last[mark] as number;
      const begins = graph.start[node] as number;
      for (let at = (graph.start[node + 1] as number) - 1; at >= begins; at--) {
        const child = graph.children[at] as number;
        if (child !== graph.main[node]) waiting.push({ node: child, at: mark });
      }
    }
  }
  return {
    size: marks.size,
    first: marks.first.subarray(0, marks.size),
    last: marks.last.subarray(0, marks.size),
    count: marks.count.subarray(0, marks.size),
    column: marks.column.subarray(0, marks.size),
    row: marks.row.subarray(0, marks.size),
    markOf: marks.markOf,
    lines: lines.packed(),
    columns: bottom.length,
    rows: bottom.reduce((lowest, row) => Math.max(lowest, row), -1) + 1,
  };
}

class Marks {
  size = 0;
  readonly first: Int32Array;
  readonly last: Int32Array;
  readonly count: Int32Array;
  readonly column: Int32Array;
  readonly row: Int32Array;
  readonly markOf: Int32Array;

  constructor(most: number) {
    this.first = new Int32Array(most);
    this.last = new Int32Array(most);
    this.count = new Int32Array(most);
    this.column = new Int32Array(most);
    this.row = new Int32Array(most);
    this.markOf = new Int32Array(most);
  }

  add(graph: Graph, first: number, last: number, count: number, column: number): void {
    const mark = this.size++;
    this.first[mark] = first;
    this.last[mark] = last;
    this.count[mark] = count;
    this.column[mark] = column;
    for (let node = last; ; node = graph.parent[node] as number) {
      this.markOf[node] = mark;
      if (node === first) break;
    }
  }
}

class LineList {
  private readonly all: number[][] = [];

  add(...line: number[]): void {
    this.all.push(line);
  }

  packed(): Lines {
    const part = (index: number) => Int32Array.from(this.all, (line) => line[index] as number);
    return {
      size: this.all.length,
      from: part(0),
      to: part(1),
      row: part(2),
      upRow: part(3),
      upColumn: part(4),
    };
  }
}

/** The mark at a column and a row; -1 where there is none. */
export function markAt(layout: Layout, column: number, row: number): number {
  const { lines } = layout;
  for (let line = 0; line < lines.size; line++) {
    if (lines.row[line] !== row) continue;
    const from = lines.from[line] as number;
    const begin = layout.column[from] as number;
    if (column >= begin && column < begin + (lines.to[line] as number) - from) return from + column - begin;
  }
  return -1;
}

/** The first nodes of the runs that hide these nodes: they have to be expanded for the nodes to be seen. */
export function runsHiding(layout: Layout, nodes: Iterable<number>): number[] {
  const found = new Set<number>();
  for (const node of nodes) {
    const mark = layout.markOf[node] as number;
    if ((layout.count[mark] as number) > 1) found.add(layout.first[mark] as number);
  }
  return [...found];
}
