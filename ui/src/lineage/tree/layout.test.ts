import { describe, expect, it } from "vitest";
import { type Graph, graphOf, nodeOf, pathTo, type Shape, Special } from "./graph";
import { layOut, markAt, runsHiding } from "./layout";
import { moveFrom } from "./moving";
import { areSiblings, commonNode, nextOf, outlineOf } from "./outline";
import { answerLine, nodesSaying } from "./words";

const KINDS = ["root", "continuation", "retry", "model_variant"];

/** A tree of parents; `kinds` of nodes that are no continuation. */
function shapeOf(parents: (number | null)[], kinds: Record<number, string> = {}): Shape {
  const each = <T>(value: T) => parents.map(() => value);
  return {
    names: { kinds: KINDS, statuses: ["ok", "error"], evidence: ["prefix"], models: ["m"] },
    nodes: {
      id: parents.map((_, i) => `00000000-0000-0000-0000-${String(i).padStart(12, "0")}`),
      parent: parents,
      kind: parents.map((up, i) => KINDS.indexOf(kinds[i] ?? (up === null ? "root" : "continuation"))),
      status: each(0),
      evidence: each(0),
      runs: each(1),
      model: each(0),
      replay: each(0),
      fidelity: each(null),
      outcome: each(null),
      calls: each(0),
      tokens_in: each(1),
      tokens_out: each(1),
      ms: each(1),
      at: each(1),
    },
    links: [],
  };
}

/** Root, a line of eight turns, and a retry of three below the third. */
const TALK = shapeOf([null, 0, 1, 2, 3, 4, 5, 6, 7, 3, 9, 10], { 9: "retry" });
const none = new Set<number>();

/** A tree that follows from a seed, as bushy as replays make them. */
function wild(size: number, seed: number): Graph {
  let state = seed;
  const chance = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  };
  const parents: (number | null)[] = [null];
  for (let i = 1; i < size; i++) parents.push(chance() < 0.7 ? i - 1 : Math.floor(chance() * i));
  return graphOf(shapeOf(parents));
}

describe("a graph", () => {
  it("knows children, depths and the way that is longest", () => {
    const graph = graphOf(TALK);
    expect([...graph.depth]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 5, 6]);
    expect(graph.main[3]).toBe(4);
    expect(graph.main[8]).toBe(-1);
    expect(pathTo(graph, 10)).toEqual([0, 1, 2, 3, 9, 10]);
  });

  it("goes on with the first of equally long ways", () => {
    expect(graphOf(shapeOf([null, 0, 0])).main[0]).toBe(1);
  });

  it("finds nodes by the first digits of their ids, if they are those of one", () => {
    const graph = graphOf(TALK);
    expect(nodeOf(graph, "00000000-0000-0000-0000-00000000000")).toBe(-1);
    expect(nodeOf(graph, graph.ids[7] as string)).toBe(7);
    expect(nodeOf(graph, "000")).toBe(-1);
  });
});

describe("a layout", () => {
  it("hides runs of turns that only go on behind one mark", () => {
    const graph = graphOf(TALK);
    const layout = layOut(graph, true, none);
    const counts = [...layout.count];
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(graph.size);
    expect(layout.count[layout.markOf[5] as number]).toBe(4); // 4 to 7: 8 is a leaf
    expect(layout.count[layout.markOf[3] as number]).toBe(1); // a branching point
    expect(layout.count[layout.markOf[1] as number]).toBe(1); // two are no run
    expect(runsHiding(layout, [5, 6, 3])).toEqual([4]);
  });

  it("shows a run that was expanded, and all of them without collapsing", () => {
    const graph = graphOf(TALK);
    const shown = layOut(graph, true, new Set([4, 5, 6, 7]));
    expect(shown.size).toBe(graph.size);
    expect(layOut(graph, false, none).size).toBe(graph.size);
  });

  it("never hides what is special", () => {
    const shape = shapeOf([null, 0, 1, 2, 3, 4, 5, 6]);
    shape.nodes.status[4] = 1;
    const graph = graphOf(shape);
    expect(graph.special[4]).toBe(Special.trouble);
    const layout = layOut(graph, true, none);
    expect(layout.count[layout.markOf[4] as number]).toBe(1);
  });

  it("keeps the main line in one row, and puts branches below", () => {
    const layout = layOut(graphOf(TALK), false, none);
    const row = (node: number) => layout.row[layout.markOf[node] as number];
    expect([0, 1, 2, 3, 4, 8].map(row)).toEqual([0, 0, 0, 0, 0, 0]);
    expect([9, 10, 11].map(row)).toEqual([1, 1, 1]);
    expect(layout.rows).toBe(2);
  });

  it.each([1, 2, 3, 4, 5])("gives no place twice and crosses no line (tree %i)", (seed) => {
    const graph = wild(400, seed);
    const layout = layOut(graph, seed % 2 === 0, none);
    const taken = new Set<string>();
    for (let mark = 0; mark < layout.size; mark++) taken.add(`${layout.column[mark]} ${layout.row[mark]}`);
    expect(taken.size).toBe(layout.size);
    const { lines } = layout;
    for (let line = 1; line < lines.size; line++) {
      const column = lines.upColumn[line] as number;
      for (let row = (lines.upRow[line] as number) + 1; row <= (lines.row[line] as number); row++)
        expect(markAt(layout, column, row)).toBe(-1);
    }
    for (let node = 1; node < graph.size; node++) {
      const [mine, above] = [
        layout.markOf[node] as number,
        layout.markOf[graph.parent[node] as number] as number,
      ];
      if (mine !== above) expect(layout.column[mine]).toBe((layout.column[above] as number) + 1);
    }
  });

  it("takes 100,000 nodes, and a line of as many", () => {
    expect(layOut(wild(100_000, 7), true, none).size).toBeGreaterThan(1000);
    const line = graphOf(shapeOf([null, ...Array.from({ length: 99_999 }, (_, i) => i)]));
    expect(layOut(line, true, none).size).toBe(3);
    expect(outlineOf(line).node[99_999]).toBe(99_999);
  });
});

describe("keys", () => {
  it("reach every node from the root, and the root from every node", () => {
    const graph = wild(300, 11);
    const layout = layOut(graph, false, none);
    const seen = new Set([0]);
    const waiting = [0];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      for (const direction of ["child", "up", "down", "parent", "leaf"] as const) {
        const next = moveFrom(graph, layout, at, direction);
        if (!seen.has(next)) {
          seen.add(next);
          waiting.push(next);
        }
      }
    }
    expect(seen.size).toBe(graph.size);
    expect(moveFrom(graph, layout, 150, "root")).toBe(0);
  });

  it("move between siblings", () => {
    const graph = graphOf(TALK);
    const layout = layOut(graph, true, none);
    expect(moveFrom(graph, layout, 4, "down")).toBe(9);
    expect(moveFrom(graph, layout, 9, "up")).toBe(4);
    expect(moveFrom(graph, layout, 0, "up")).toBe(0);
    expect(moveFrom(graph, layout, 8, "child")).toBe(8);
  });
});

describe("an outline", () => {
  it("puts what branches off before the line goes on, a level deeper", () => {
    const outline = outlineOf(graphOf(TALK));
    expect([...outline.node]).toEqual([0, 1, 2, 3, 9, 10, 11, 4, 5, 6, 7, 8]);
    expect([...outline.level]).toEqual([1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1]);
  });

  it("steps through hits in its order and goes round", () => {
    const outline = outlineOf(graphOf(TALK));
    expect(nextOf(outline, [4, 10, 1], -1, 1)).toBe(1);
    expect(nextOf(outline, [4, 10, 1], 1, 1)).toBe(10);
    expect(nextOf(outline, [4, 10, 1], 4, 1)).toBe(1);
    expect(nextOf(outline, [4, 10, 1], 1, -1)).toBe(4);
    expect(nextOf(outline, [], 1, 1)).toBe(-1);
  });

  it("tells answers to one question from others, and where ways part", () => {
    const graph = graphOf(TALK);
    expect(areSiblings(graph, [4, 9])).toBe(true);
    expect(areSiblings(graph, [4, 10])).toBe(false);
    expect(areSiblings(graph, [4])).toBe(false);
    expect(commonNode(graph, [8, 11])).toBe(3);
  });
});

describe("words", () => {
  const words = {
    result: [0, 0],
    asked: ["How is\n the weather?", null],
    answer: ["It rains.", ""],
    called: [null, "weather, read"],
  };
  it("say what a node answers, or calls", () => {
    expect(answerLine(words, 0)).toBe("It rains.");
    expect(answerLine(words, 1)).toBe("→ weather, read");
  });
  it("are searched in any case", () => {
    expect(nodesSaying(words, "IS THE")).toEqual([0]);
    expect(nodesSaying(words, "read")).toEqual([1]);
    expect(nodesSaying(words, " ")).toEqual([]);
  });
});
