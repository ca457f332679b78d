import { type Camera, CELL, type Size } from "./camera";
import type { Layout } from "./layout";
import type { Palette } from "./palette";

/** The whole tree, small, with a frame around what is in view. A click or drag moves the view. */
export class Minimap {
  private readonly context: CanvasRenderingContext2D | null;
  private readonly whole = document.createElement("canvas");
  private readonly ends: (() => void)[] = [];
  private layout: Layout | null = null;
  private world: Size = { width: 1, height: 1 };
  private palette: Palette | null = null;
  private scale = 1;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    goTo: (x: number, y: number) => void,
  ) {
    this.context = canvas.getContext("2d");
    const moved = (event: PointerEvent) => {
      if (event.buttons !== 1) return;
      goTo(event.offsetX / this.scale, event.offsetY / this.scale);
    };
    const pressed = (event: PointerEvent) => {
      canvas.setPointerCapture(event.pointerId);
      moved(event);
    };
    canvas.addEventListener("pointerdown", pressed);
    canvas.addEventListener("pointermove", moved);
    this.ends.push(
      () => canvas.removeEventListener("pointerdown", pressed),
      () => canvas.removeEventListener("pointermove", moved),
    );
  }

  /** Stop listening. */
  close(): void {
    for (const end of this.ends) end();
  }

  /** Take another tree. */
  draw(layout: Layout, world: Size): void {
    this.layout = layout;
    this.world = world;
    this.render();
  }

  /** Take other colours. */
  colour(palette: Palette): void {
    this.palette = palette;
    this.render();
  }

  private render(): void {
    const { layout, palette, whole } = this;
    if (!layout || !palette) return;
    const [width, height] = [this.canvas.clientWidth || 160, this.canvas.clientHeight || 100];
    const ratio = window.devicePixelRatio || 1;
    for (const each of [whole, this.canvas]) {
      each.width = Math.round(width * ratio);
      each.height = Math.round(height * ratio);
    }
    this.scale = Math.min(width / this.world.width, height / this.world.height);
    const context = whole.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    context.fillStyle = palette.line;
    const { lines } = layout;
    for (let line = 0; line < lines.size; line++) {
      const from = lines.from[line] as number;
      const length = (lines.to[line] as number) - from;
      const x = (layout.column[from] as number) * CELL.width * this.scale;
      const y = (lines.row[line] as number) * CELL.height * this.scale;
      context.fillRect(
        x,
        y,
        Math.max(length * CELL.width * this.scale, 1),
        Math.max(CELL.height * this.scale * 0.5, 0.6),
      );
    }
  }

  /** Draw the frame around what the camera sees. */
  frame(camera: Camera, view: Size): void {
    const { context, whole, palette } = this;
    if (!context || !palette || whole.width === 0) return;
    const { x: left, y: above, k } = camera;
    const all =
      Math.min(left, above) >= 0 &&
      left + this.world.width * k <= view.width &&
      above + this.world.height * k <= view.height;
    this.canvas.style.visibility = all ? "hidden" : "";
    if (all) return;
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(whole, 0, 0);
    const by = (this.scale / camera.k) * ratio;
    context.strokeStyle = palette.accent;
    context.lineWidth = 1.5 * ratio;
    const x = Math.max(-camera.x * by, 1);
    const y = Math.max(-camera.y * by, 1);
    const right = Math.min((view.width - camera.x) * by, this.canvas.width - 1);
    const bottom = Math.min((view.height - camera.y) * by, this.canvas.height - 1);
    context.strokeRect(x, y, Math.max(right - x, 2), Math.max(bottom - y, 2));
  }
}
