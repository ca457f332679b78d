/** A session's tree in arrays: node `i` comes after its parent, siblings are in the order of time. */
export type Shape = {
  names: { kinds: string[]; statuses: string[]; evidence: string[]; models: string[] };
  nodes: {
    id: string[];
    parent: (number | null)[];
    kind: number[];
    status: number[];
    evidence: number[];
    runs: number[];
    model: (number | null)[];
    replay: number[];
    fidelity: (number | null)[];
    outcome: (number | null)[];
    calls: number[];
    tokens_in: (number | null)[];
    tokens_out: (number | null)[];
    ms: (number | null)[];
    at: (number | null)[];
  };
  links: ShapeLink[];
};

export type ShapeLink = {
  node_id: string;
  way: string;
  session_id: string;
  other_node_id: string;
  evidence: string;
  detail?: string | null;
  tool_call_id?: string | null;
};

/** The words at the nodes, in the order of the shape. */
export type Words = {
  result: number[];
  asked: (string | null)[];
  answer: (string | null)[];
  called: (string | null)[];
};

/** A node that is more than a turn that goes on. */
export const Special = { none: 0, branch: 1, trouble: 2, outcome: 4, stale: 8, pivot: 16, link: 32 } as const;

export type Graph = {
  size: number;
  ids: readonly string[];
  /** -1 at the root. */
  parent: Int32Array;
  depth: Int32Array;
  /** The children of `i` are `children[start[i]]` to `children[start[i + 1] - 1]`, in the order of time. */
  start: Int32Array;
  children: Int32Array;
  /** Nodes on the longest way down from here, itself included. */
  height: Int32Array;
  /** The child that a line through the tree goes on with: the one with the longest way down. -1 at a leaf. */
  main: Int32Array;
  kind: Uint8Array;
  /** Bits of `Special`. */
  special: Uint8Array;
  place: ReadonlyMap<string, number>;
};

/** The marks that come from other answers than the shape: nodes that are stale, pivots. */
export type Marks = { stale: ReadonlySet<string>; pivots: ReadonlySet<string> };

const NO_MARKS: Marks = { stale: new Set(), pivots: new Set() };

/** The tree of a shape. Takes time and memory that grow linearly with its nodes. */
export function graphOf(shape: Shape, marks: Marks = NO_MARKS): Graph {
  const { nodes, names } = shape;
  const size = nodes.id.length;
  const parent = Int32Array.from(nodes.parent, (up) => up ?? -1);
  const depth = new Int32Array(size);
  const start = new Int32Array(size + 1);
  const children = new Int32Array(Math.max(size - 1, 0));
  const height = new Int32Array(size).fill(1);
  const main = new Int32Array(size).fill(-1);
  const place = new Map<string, number>();
  for (let i = 0; i < size; i++) {
    place.set(nodes.id[i] as string, i);
    const up = parent[i] as number;
    if (up >= 0) {
      depth[i] = (depth[up] as number) + 1;
      start[up + 1] = (start[up + 1] as number) + 1;
    }
  }
  for (let i = 0; i < size; i++) start[i + 1] = (start[i + 1] as number) + (start[i] as number);
  const filled = start.slice(0, size);
  for (let i = 0; i < size; i++) {
    const up = parent[i] as number;
    if (up < 0) continue;
    const at = filled[up] as number;
    children[at] = i;
    filled[up] = at + 1;
  }
  for (let i = size - 1; i > 0; i--) {
    const up = parent[i] as number;
    if (up < 0) continue;
    const high = (height[i] as number) + 1;
    // From the last to the first: of equally long ways the first in time is kept.
    if (high >= (height[up] as number)) {
      height[up] = high;
      main[up] = i;
    }
  }
  const linked = new Set(shape.links.map((link) => link.node_id));
  const special = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    const id = nodes.id[i] as string;
    const kind = names.kinds[nodes.kind[i] as number];
    let bits = kind === "continuation" ? Special.none : Special.branch;
    if (names.statuses[nodes.status[i] as number] !== "ok") bits |= Special.trouble;
    if (nodes.outcome[i] !== null) bits |= Special.outcome;
    if (marks.stale.has(id)) bits |= Special.stale;
    if (marks.pivots.has(id)) bits |= Special.pivot;
    if (linked.has(id)) bits |= Special.link;
    special[i] = bits;
  }
  return {
    size,
    ids: nodes.id,
    parent,
    depth,
    start,
    children,
    height,
    main,
    kind: Uint8Array.from(nodes.kind),
    special,
    place,
  };
}

/** How many children a node has. */
export function childCount(graph: Graph, node: number): number {
  return (graph.start[node + 1] as number) - (graph.start[node] as number);
}

/** The children of a node in the order of time. */
export function childrenOf(graph: Graph, node: number): Int32Array {
  return graph.children.subarray(graph.start[node] as number, graph.start[node + 1] as number);
}

/** The nodes from the root to a node. */
export function pathTo(graph: Graph, node: number): number[] {
  const path: number[] = [];
  for (let at = node; at >= 0; at = graph.parent[at] as number) path.push(at);
  return path.reverse();
}

/** The node of an id, or of its first digits; -1 where there is none or several. */
export function nodeOf(graph: Graph, id: string): number {
  const whole = graph.place.get(id);
  if (whole !== undefined) return whole;
  if (id.length < 6) return -1;
  let found = -1;
  for (let i = 0; i < graph.size; i++) {
    if (!(graph.ids[i] as string).startsWith(id)) continue;
    if (found >= 0) return -1;
    found = i;
  }
  return found;
}
