import { markOf, outline } from "../../parts/kinds";
import { RADIUS } from "./camera";
import type { Palette } from "./palette";

/** Drawings of marks, made once for a scale: to copy one is far cheaper than to draw it. */
export class Sprites {
  private readonly made = new Map<string, HTMLCanvasElement>();
  private scale = 0;

  constructor(
    private readonly kinds: readonly string[],
    private readonly palette: Palette,
  ) {}

  /** The mark of a kind, hollow for a replay, for `scale` device pixels to a unit. Its centre is its middle. */
  of(kind: number, replay: boolean, scale: number): HTMLCanvasElement {
    if (scale !== this.scale) {
      this.made.clear();
      this.scale = scale;
    }
    const key = `${kind} ${replay}`;
    let sprite = this.made.get(key);
    if (!sprite) {
      sprite = this.draw(kind, replay, scale);
      this.made.set(key, sprite);
    }
    return sprite;
  }

  private draw(kind: number, replay: boolean, scale: number): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    const half = Math.ceil(RADIUS * 1.6 * scale);
    canvas.width = canvas.height = 2 * half;
    const context = canvas.getContext("2d");
    if (!context) return canvas;
    const { shape } = markOf(this.kinds[kind] ?? "");
    context.translate(half, half);
    context.scale(scale, scale);
    const path = new Path2D(outline(shape, 0, 0, RADIUS));
    const colour = this.palette.kinds[kind] ?? this.palette.text;
    const hollow = replay || shape === "ring";
    context.fillStyle = hollow ? this.palette.surface : colour;
    context.fill(path);
    if (hollow) {
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.stroke(path);
    }
    return canvas;
  }
}
