import { describe, expect, it } from "vitest";
import { colouringOf, levelOf, styleAt } from "./colouring";
import { placed } from "./labels";
import { type MapData, mapDataOf, shareOf, UNKNOWN } from "./mapData";
import { sortedClusters } from "./order";
import { paint } from "./paint";
import { lassoOf, PointGrid, placesOf, readLasso, selectionOf, writtenLasso } from "./selection";
import { maskOf, SHAPES } from "./shapes";
import { fitted, moved, readView, toMap, toScreen, written, zoomed } from "./view";

const SIZE = { width: 400, height: 300 };

function some(places: readonly (readonly [number, number])[], clusters: readonly number[] = []): MapData {
  const zeros = new Uint16Array(places.length);
  return {
    points: places.length,
    clusters: ["", "a", "b"],
    themes: [""],
    x: Float32Array.from(places, ([x]) => x),
    y: Float32Array.from(places, ([, y]) => y),
    cluster: clusters.length ? Uint16Array.from(clusters) : zeros,
    theme: zeros,
    outcome: new Uint8Array(places.length).fill(UNKNOWN),
    quality: new Uint8Array(places.length).fill(254),
    late: new Uint8Array(places.length),
  };
}

describe("columns of the API", () => {
  it("become arrays", () => {
    const data = mapDataOf({
      run_id: "r",
      layer: 0,
      points: 2,
      clusters: ["", "a"],
      themes: ["t"],
      x: btoa("\x00\x80\xff\x7f"), // -32768, 32767
      y: btoa("\x00\x00\x00\x00"),
      cluster: btoa("\x01\x00\x00\x00"),
      theme: btoa("\x00\x00\x00\x00"),
      outcome: btoa("\xff\x7f"),
      quality: btoa("\xfe\x00"),
      late: btoa("\x00\x01"),
    });
    expect([...data.x].map((one) => Math.round(one))).toEqual([-1, 1]);
    expect([...data.cluster]).toEqual([1, 0]);
    expect([shareOf(data.outcome[0]), shareOf(data.outcome[1])]).toEqual([null, 0.5]);
    expect([shareOf(data.quality[0]), shareOf(data.quality[1])]).toEqual([1, 0]);
  });
});

describe("a view", () => {
  it("shows everything, with y upwards", () => {
    const view = fitted(SIZE);
    const [, top] = toScreen(view, 0, 1);
    const [, bottom] = toScreen(view, 0, -1);
    expect(top).toBeGreaterThan(0);
    expect(top).toBeLessThan(bottom);
    expect(bottom).toBeLessThan(SIZE.height);
  });

  it("keeps what is under the pointer there while it zooms", () => {
    const view = moved(fitted(SIZE), 30, -20);
    const before = toMap(view, 100, 50);
    const after = toMap(zoomed(view, SIZE, 3, 100, 50), 100, 50);
    expect(after[0]).toBeCloseTo(before[0]);
    expect(after[1]).toBeCloseTo(before[1]);
  });

  it("does not zoom without end", () => {
    let view = fitted(SIZE);
    for (let i = 0; i < 100; i++) view = zoomed(view, SIZE, 2, 0, 0);
    expect(view.scale / fitted(SIZE).scale).toBeCloseTo(60);
  });

  it("comes back from the address", () => {
    const view = zoomed(moved(fitted(SIZE), 30, 10), SIZE, 4, 10, 10);
    const again = readView(written(view, SIZE), SIZE);
    expect(again.scale / view.scale).toBeCloseTo(1, 2);
    expect(Math.abs(again.dx - view.dx)).toBeLessThan(2);
    expect(written(fitted(SIZE), SIZE)).toBe("");
    for (const odd of ["", "x", "1,2", "1,2,-3", "NaN,0,1"])
      expect(readView(odd, SIZE)).toEqual(fitted(SIZE));
  });
});

describe("a selection", () => {
  const data = some(
    [
      [0, 0],
      [0.5, 0.5],
      [-0.9, 0.9],
      [0.9, -0.9],
    ],
    [0, 1, 1, 2],
  );

  it("is the points of clusters and those inside a lasso", () => {
    const lasso = [
      [-0.2, -0.2],
      [0.2, -0.2],
      [0.2, 0.2],
      [-0.2, 0.2],
    ] as const;
    expect(selectionOf(data, [], [])).toBeNull();
    expect(placesOf(selectionOf(data, ["a"], []))).toEqual([1, 2]);
    expect(placesOf(selectionOf(data, [], lasso))).toEqual([0]);
    expect(placesOf(selectionOf(data, ["b", "gone"], lasso))).toEqual([0, 3]);
  });

  it("leaves out the hollow of a line", () => {
    const hollow = [
      [-1, -1],
      [1, -1],
      [1, 1],
      [0, -0.5],
      [-1, 1],
    ] as const;
    expect(placesOf(selectionOf(data, [], hollow))).not.toContain(0);
  });

  it("comes back from the address", () => {
    const drawn = Array.from({ length: 500 }, (_, at) => [at, (at * 7) % 300] as const);
    const lasso = lassoOf(fitted(SIZE), drawn);
    expect(lasso.length).toBeLessThanOrEqual(80);
    readLasso(writtenLasso(lasso)).forEach(([x, y], at) => {
      expect(x).toBeCloseTo(lasso[at]?.[0] as number, 2);
      expect(y).toBeCloseTo(lasso[at]?.[1] as number, 2);
    });
    expect(readLasso("1.2_zz_")).toEqual([]);
  });

  it("finds the nearest point", () => {
    const grid = new PointGrid(data);
    expect(grid.nearest(0.48, 0.5, 0.05)).toBe(1);
    expect(grid.nearest(0.3, 0.3, 0.05)).toBe(-1);
  });
});

describe("how points are drawn", () => {
  it("no two styles in a row have one colour or one shape", () => {
    const styles = Array.from({ length: 49 }, (_, at) => styleAt(at, ""));
    expect(new Set(styles.map((one) => `${one.colour} ${one.shape}`)).size).toBe(49);
    for (let at = 1; at < 49; at++) {
      expect(styles[at]?.colour).not.toBe(styles[at - 1]?.colour);
      expect(styles[at]?.shape).not.toBe(styles[at - 1]?.shape);
    }
  });

  it("levels of a value differ in shape", () => {
    expect([0, 0.25, 0.26, 0.74, 0.75, null].map(levelOf)).toEqual([0, 0, 1, 1, 2, 3]);
    const { styles } = colouringOf(some([]), "outcome", String);
    expect(new Set(styles.map((one) => one.shape)).size).toBe(styles.length);
  });

  it("every shape covers its middle or surrounds it", () => {
    for (const shape of SHAPES) {
      const mask = maskOf(shape, 4);
      expect(mask.length).toBeGreaterThan(3 * 10);
      const middle = Array.from({ length: mask.length / 3 }, (_, at) => at * 3).some(
        (at) => mask[at] === 0 && mask[at + 1] === 0,
      );
      expect(middle).toBe(shape !== "ring");
    }
  });

  it("selected points are over the others, which fade", () => {
    const data = some(
      [
        [0, 0],
        [0, 0],
      ],
      [1, 2],
    );
    const palette = {
      ground: [255, 255, 255] as const,
      of: new Map([
        ["--hue-2", [0, 0, 255] as const],
        ["--hue-3", [255, 0, 0] as const],
      ]),
    };
    const colouring = colouringOf(data, "cluster", String);
    const pixels = new Uint32Array(21 * 21);
    const view = { scale: 10, dx: 10, dy: 10 };
    const middle = () => (pixels[10 * 21 + 10] as number) >>> 0;
    paint(pixels, 21, 21, data, colouring, palette, view, 3, Uint8Array.from([1, 0]));
    expect(middle()).toBe(0xffff0000);
    paint(pixels, 21, 21, data, colouring, palette, view, 3, Uint8Array.from([0, 1]));
    expect(middle()).toBe(0xff0000ff);
    expect(pixels[0]).toBe(0xffffffff);
  });
});

describe("names on the map", () => {
  it("never cover one another, and the first have the first choice", () => {
    const labels = Array.from({ length: 40 }, (_, at) => ({ text: `n${at}`, x: 100, y: 100, width: 60 }));
    const found = placed(labels);
    expect(found[0]).toEqual({ text: "n0", x: 100, y: 100 });
    expect(found.length).toBeLessThan(8);
    expect(found.length).toBeGreaterThan(2);
    for (const one of found)
      for (const other of found)
        if (one !== other) expect(Math.abs(one.y - other.y)).toBeGreaterThanOrEqual(16);
  });
});

it("clusters come worst first, those without an outcome last", () => {
  const base = { units: 1, quality: 0.5, error_rate: 0 };
  const clusters = [
    { ...base, cluster_id: "a", outcome_rate: null, quality: 0.1 },
    { ...base, cluster_id: "b", outcome_rate: 0.9, units: 9 },
    { ...base, cluster_id: "c", outcome_rate: 0.1, error_rate: 0.5 },
  ] as unknown as Parameters<typeof sortedClusters>[0];
  const ids = (order: Parameters<typeof sortedClusters>[1]) =>
    sortedClusters(clusters, order)
      .map((one) => one.cluster_id)
      .join("");
  expect(ids("worst")).toBe("cba");
  expect(ids("quality")).toBe("abc");
  expect(ids("errors")[0]).toBe("c");
  expect(ids("largest")[0]).toBe("b");
});
