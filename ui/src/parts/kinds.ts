/** How a kind of branch is drawn: a shape and a hue, so that neither alone has to be recognised. */
export type Mark = { label: string; shape: Shape; hue: string };
export type Shape =
  | "circle"
  | "ring"
  | "square"
  | "diamond"
  | "triangle"
  | "hexagon"
  | "cross"
  | "bar"
  | "star";

export const KINDS: Readonly<Record<string, Mark>> = {
  root: { label: "Root", shape: "ring", hue: "--hue-8" },
  continuation: { label: "Continuation", shape: "circle", hue: "--hue-1" },
  retry: { label: "Retry", shape: "cross", hue: "--hue-8" },
  model_variant: { label: "Other model", shape: "square", hue: "--hue-2" },
  sampling_variant: { label: "Other sampling", shape: "triangle", hue: "--hue-5" },
  prompt_variant: { label: "Other prompt", shape: "diamond", hue: "--hue-3" },
  tool_variant: { label: "Other tools", shape: "hexagon", hue: "--hue-4" },
  taskify_variant: { label: "Other plan", shape: "star", hue: "--hue-6" },
  compaction: { label: "Compaction", shape: "bar", hue: "--hue-7" },
};

/** How a kind is drawn; one that is not known keeps its own name. */
export function markOf(kind: string): Mark {
  return KINDS[kind] ?? { label: kind, shape: "ring", hue: "--hue-8" };
}

/** The outline of a shape around a centre, as the data of an SVG path. `r` is half its width. */
export function outline(shape: Shape, x: number, y: number, r: number): string {
  const corner = (turn: number, far = r) =>
    `${(x + far * Math.sin(turn * 2 * Math.PI)).toFixed(2)} ${(y - far * Math.cos(turn * 2 * Math.PI)).toFixed(2)}`;
  const polygon = (corners: string[]) => `M${corners.join("L")}Z`;
  switch (shape) {
    case "square":
      return polygon([45, 135, 225, 315].map((degrees) => corner(degrees / 360, r * 1.25)));
    case "diamond":
      return polygon([0, 1, 2, 3].map((quarter) => corner(quarter / 4, r * 1.25)));
    case "triangle":
      return polygon([0, 1, 2].map((third) => corner(third / 3, r * 1.25)));
    case "hexagon":
      return polygon([0, 1, 2, 3, 4, 5].map((sixth) => corner(sixth / 6, r * 1.1)));
    case "star":
      return polygon(Array.from({ length: 10 }, (_, i) => corner(i / 10, i % 2 ? r * 0.55 : r * 1.3)));
    case "bar":
      return `M${x - r * 1.2} ${y - r * 0.55}h${r * 2.4}v${r * 1.1}h${-r * 2.4}Z`;
    case "cross": {
      const a = r * 0.4;
      return `M${x - a} ${y - r}h${2 * a}v${r - a}h${r - a}v${2 * a}h${a - r}v${r - a}h${-2 * a}v${a - r}h${a - r}v${-2 * a}h${r - a}Z`;
    }
    default:
      return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
  }
}
