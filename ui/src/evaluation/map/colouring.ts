import { type MapData, NO_CLUSTER, shareOf, UNKNOWN } from "./mapData";
import type { MapShape } from "./shapes";

export const MODES = ["cluster", "outcome", "quality", "theme"] as const;
export type Mode = (typeof MODES)[number];

/** How some of the points are drawn: a shape and a colour of the theme, and what that means. */
export type PointStyle = { label: string; shape: MapShape; colour: string };

/** The style of every point, and the styles. */
export type Colouring = { of: Uint8Array; styles: readonly PointStyle[] };

const HUES = [2, 3, 1, 4, 6, 7, 5].map((hue) => `--hue-${hue}`);
const FORMS: readonly MapShape[] = ["circle", "square", "triangle", "diamond", "cross", "down", "ring"];
const LEVELS: readonly PointStyle[] = [
  { label: "low, to 0.25", shape: "down", colour: "--bad" },
  { label: "middle", shape: "diamond", colour: "--warn" },
  { label: "high, from 0.75", shape: "circle", colour: "--good" },
  { label: "not known", shape: "dot", colour: "--hue-8" },
];
const MOST_STYLES = HUES.length * FORMS.length;

/** A style for the n-th of many: neighbours differ in colour and in shape; what is beyond them all is a dot. */
export function styleAt(place: number, label: string): PointStyle {
  if (place >= MOST_STYLES) return { label, shape: "dot", colour: "--hue-8" };
  const turn = Math.floor(place / HUES.length);
  return {
    label,
    colour: HUES[place % HUES.length] ?? "--hue-8",
    shape: FORMS[(place + turn) % FORMS.length] ?? "circle",
  };
}

/** Level of a value: 0 low, 1 middle, 2 high, 3 not known. */
export function levelOf(value: number | null): 0 | 1 | 2 | 3 {
  return value === null ? 3 : value <= 0.25 ? 0 : value < 0.75 ? 1 : 2;
}

export function styleOfLevel(value: number | null): PointStyle {
  return LEVELS[levelOf(value)] as PointStyle;
}

/** Which of the clusters or themes are most frequent: places by frequency. */
function ranks(of: Uint16Array, names: readonly string[]): number[] {
  const counts = new Array<number>(names.length).fill(0);
  for (const one of of) counts[one] = (counts[one] ?? 0) + 1;
  const order = names.map((_, at) => at).filter((at) => names[at] !== "");
  order.sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
  const rank = new Array<number>(names.length).fill(-1);
  order.forEach((at, place) => {
    rank[at] = place;
  });
  return rank;
}

/** How clusters, or themes, are drawn, by their places in the data; '' is a grey dot. */
export function namedStyles(
  of: Uint16Array,
  names: readonly string[],
  label: (name: string) => string,
  nothing: string,
): PointStyle[] {
  const rank = ranks(of, names);
  return names.map((name, at) =>
    name === NO_CLUSTER
      ? { label: nothing, shape: "dot", colour: "--hue-8" }
      : styleAt(rank[at] ?? MOST_STYLES, label(name)),
  );
}

/** How every point is drawn. */
export function colouringOf(data: MapData, mode: Mode, nameOf: (cluster: string) => string): Colouring {
  if (mode === "outcome" || mode === "quality") {
    const values = data[mode];
    const levels = new Uint8Array(UNKNOWN + 1);
    for (let byte = 0; byte <= UNKNOWN; byte++) levels[byte] = levelOf(shareOf(byte));
    return { of: values.map((byte) => levels[byte] as number), styles: LEVELS };
  }
  const [of, names] = mode === "cluster" ? [data.cluster, data.clusters] : [data.theme, data.themes];
  const every = namedStyles(
    of,
    names,
    mode === "cluster" ? nameOf : (name) => name,
    mode === "cluster" ? "no cluster" : "no theme",
  );
  // More than 255 names share a style with others that are as rare.
  return { of: Uint8Array.from(of, (one) => Math.min(one, 255)), styles: every.slice(0, 256) };
}
