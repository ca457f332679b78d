import type { MapData } from "./mapData";
import { toMap, type View } from "./view";

export type Place = readonly [number, number];

/** Marks the points inside a polygon of places on the map (even-odd rule). */
export function insidePolygon(data: MapData, polygon: readonly Place[], into: Uint8Array): void {
  if (polygon.length < 3) return;
  const xs = polygon.map(([x]) => x);
  const ys = polygon.map(([, y]) => y);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [bottom, top] = [Math.min(...ys), Math.max(...ys)];
  for (let at = 0; at < data.points; at++) {
    const x = data.x[at] as number;
    const y = data.y[at] as number;
    if (x < left || x > right || y < bottom || y > top) continue;
    let inside = false;
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [ax, ay] = polygon[i] as Place;
      const [bx, by] = polygon[j] as Place;
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    }
    if (inside) into[at] = 1;
  }
}

/** The points of clusters and inside a lasso; null where nothing is selected. */
export function selectionOf(
  data: MapData,
  clusters: readonly string[],
  lasso: readonly Place[],
): Uint8Array | null {
  if (clusters.length === 0 && lasso.length < 3) return null;
  const selected = new Uint8Array(data.points);
  const wanted = new Set(clusters.map((id) => data.clusters.indexOf(id)).filter((at) => at >= 0));
  if (wanted.size > 0) {
    for (let at = 0; at < data.points; at++) if (wanted.has(data.cluster[at] as number)) selected[at] = 1;
  }
  insidePolygon(data, lasso, selected);
  return selected;
}

/** Where the selected points are in the columns. */
export function placesOf(selected: Uint8Array | null): number[] {
  const found: number[] = [];
  selected?.forEach((one, at) => {
    if (one) found.push(at);
  });
  return found;
}

const MOST_CORNERS = 80;

/** Pixels of a drawn line as places on the map, not more than an address can hold. */
export function lassoOf(view: View, pixels: readonly Place[]): Place[] {
  const step = Math.max(1, Math.ceil(pixels.length / MOST_CORNERS));
  return pixels.filter((_, at) => at % step === 0).map(([x, y]) => toMap(view, x, y));
}

/** A lasso for the address: thousandths, base 36. */
export function writtenLasso(lasso: readonly Place[]): string {
  return lasso
    .map(([x, y]) => `${Math.round(x * 1000).toString(36)}.${Math.round(y * 1000).toString(36)}`)
    .join("_");
}

export function readLasso(text: string): Place[] {
  const found: Place[] = [];
  for (const one of text.split("_").slice(0, 2 * MOST_CORNERS)) {
    const [x, y] = one.split(".").map((part) => Number.parseInt(part, 36) / 1000);
    if (x === undefined || y === undefined || !Number.isFinite(x) || !Number.isFinite(y)) return [];
    found.push([x, y]);
  }
  return found;
}

/** Finds the point nearest to a place of the map. */
export class PointGrid {
  private readonly cells = new Map<number, number[]>();

  constructor(private readonly data: MapData) {
    for (let at = 0; at < data.points; at++) {
      const key = cell(data.x[at] as number, data.y[at] as number);
      const known = this.cells.get(key);
      if (known) known.push(at);
      else this.cells.set(key, [at]);
    }
  }

  /** The nearest point within a distance (on the map), or -1. */
  nearest(x: number, y: number, within: number): number {
    let best = -1;
    let least = within * within;
    const reach = Math.min(4, Math.ceil(within / CELL));
    for (let i = -reach; i <= reach; i++) {
      for (let j = -reach; j <= reach; j++) {
        for (const at of this.cells.get(cell(x + i * CELL, y + j * CELL)) ?? []) {
          const far = ((this.data.x[at] as number) - x) ** 2 + ((this.data.y[at] as number) - y) ** 2;
          if (far < least) [best, least] = [at, far];
        }
      }
    }
    return best;
  }
}

const CELL = 1 / 32;

function cell(x: number, y: number): number {
  return Math.floor((y + 2) / CELL) * 4096 + Math.floor((x + 2) / CELL);
}
