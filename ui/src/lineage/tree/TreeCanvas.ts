import {
  type Camera,
  CELL,
  cellAt,
  centreOf,
  firstLook,
  pan,
  reveal,
  type Size,
  seeAll,
  worldOf,
  zoomAt,
} from "./camera";
import type { Layout } from "./layout";
import { markAt } from "./layout";
import { Minimap } from "./Minimap";
import { paint, roomsOf, type Scene } from "./paint";
import { onThemeChange, type Palette, paletteAt } from "./palette";
import { Sprites } from "./sprites";

export type Handlers = {
  /** A mark was clicked; `add` with Ctrl, Command or Shift. */
  pick: (node: number, add: boolean) => void;
  /** A run was clicked: its first node. */
  expand: (node: number) => void;
  /** The pointer is over a mark at a place of the canvas; -1: over none. */
  hover: (node: number, x: number, y: number) => void;
};

const CLICK = 4; // pixels that a pointer may move in a click

/** A picture of a tree on a canvas that is moved and zoomed by wheel, drag, touch and calls. It draws when something changed. */
export class TreeCanvas {
  private readonly context: CanvasRenderingContext2D;
  private readonly minimap: Minimap;
  private readonly ends: (() => void)[] = [];
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private camera: Camera = { x: 0, y: 0, k: 1 };
  private view: Size = { width: 0, height: 0 };
  private world: Size = { width: 1, height: 1 };
  private scene: Scene | null = null;
  private palette: Palette | null = null;
  private sprites: Sprites | null = null;
  private frame = 0;
  private flight = 0;
  private moved = 0;
  private looked = false;
  private wish = -1;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    minimap: HTMLCanvasElement,
    private readonly handlers: Handlers,
  ) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("This browser does not support canvas drawing.");
    this.context = context;
    this.minimap = new Minimap(minimap, (x, y) => this.centreOn(x, y));
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(canvas);
    this.ends.push(
      () => sizes.disconnect(),
      onThemeChange(() => {
        this.palette = null;
        this.invalidate();
      }),
      () => this.minimap.close(),
    );
    this.on("wheel", (event) => this.wheel(event), { passive: false });
    this.on("pointerdown", (event) => this.down(event));
    this.on("pointermove", (event) => this.move(event));
    this.on("pointerup", (event) => this.up(event));
    this.on("pointercancel", (event) => this.pointers.delete(event.pointerId));
    this.on("pointerleave", () => this.hover(-1, 0, 0));
    this.on("dblclick", (event) => this.zoom(2, event.offsetX, event.offsetY));
  }

  private on<K extends keyof HTMLElementEventMap>(
    name: K,
    does: (event: HTMLElementEventMap[K]) => void,
    options?: AddEventListenerOptions,
  ): void {
    this.canvas.addEventListener(name, does, options);
    this.ends.push(() => this.canvas.removeEventListener(name, does));
  }

  /** Stop listening and drawing. */
  close(): void {
    for (const end of this.ends) end();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.flight);
  }

  /** Show a scene. The camera stays where it is; a new layout moves it by as much as `anchor`, a node, moves. */
  show(scene: Omit<Scene, "rooms">, anchor = -1): void {
    const old = this.scene;
    const same = old?.layout === scene.layout;
    const before = old && !same && anchor >= 0 ? this.spot(old.layout, anchor) : null;
    this.scene = { ...scene, rooms: same && old ? old.rooms : roomsOf(scene.layout) };
    if (!same) {
      this.world = worldOf(scene.layout.columns, scene.layout.rows);
      if (before) {
        const after = this.spot(scene.layout, anchor);
        this.camera = {
          ...this.camera,
          x: this.camera.x + (before.x - after.x) * this.camera.k,
          y: this.camera.y + (before.y - after.y) * this.camera.k,
        };
      }
      this.minimap.draw(scene.layout, this.world);
    }
    this.look();
    this.invalidate();
  }

  private spot(layout: Layout, node: number): { x: number; y: number } {
    const mark = layout.markOf[node] ?? 0;
    return centreOf(layout.column[mark] ?? 0, layout.row[mark] ?? 0);
  }

  /** Everything in view. */
  seeAll(): void {
    this.fly(seeAll(this.world, this.view));
  }

  /** Closer or farther, around the middle or a point of the canvas. */
  zoom(factor: number, x = this.view.width / 2, y = this.view.height / 2): void {
    this.fly(zoomAt(this.camera, factor, x, y, this.world, this.view));
  }

  /** Move so that a node is seen. */
  reveal(node: number): void {
    if (!this.scene || node < 0) return;
    if (!this.looked) {
      this.wish = node;
      return;
    }
    this.fly(reveal(this.camera, this.spot(this.scene.layout, node), this.view));
  }

  /** Where the mark of a node is on the canvas, in CSS pixels. */
  whereIs(node: number): { x: number; y: number } {
    if (!this.scene) return { x: 0, y: 0 };
    const { x, y } = this.spot(this.scene.layout, node);
    return { x: this.camera.x + x * this.camera.k, y: this.camera.y + y * this.camera.k };
  }

  private centreOn(x: number, y: number): void {
    const { width, height } = this.view;
    this.place({ ...this.camera, x: width / 2 - x * this.camera.k, y: height / 2 - y * this.camera.k });
  }

  private place(camera: Camera): void {
    cancelAnimationFrame(this.flight);
    this.camera = camera;
    this.invalidate();
  }

  private fly(target: Camera): void {
    cancelAnimationFrame(this.flight);
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.place(target);
      return;
    }
    const from = this.camera;
    const began = performance.now();
    const step = (now: number) => {
      const part = Math.min(Math.max((now - began) / 180, 0), 1);
      const eased = 1 - (1 - part) ** 3;
      const between = (a: number, b: number) => a + (b - a) * eased;
      this.camera = {
        x: between(from.x, target.x),
        y: between(from.y, target.y),
        k: between(from.k, target.k),
      };
      this.draw();
      if (part < 1) this.flight = requestAnimationFrame(step);
    };
    this.flight = requestAnimationFrame(step);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || height === 0) return;
    this.view = { width, height };
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.look();
    this.draw(); // at once: a canvas of a new size is empty
  }

  private look(): void {
    if (this.looked || !this.scene || this.view.width === 0) return;
    this.looked = true;
    this.camera = firstLook(this.world, this.view);
    if (this.wish >= 0) this.camera = reveal(this.camera, this.spot(this.scene.layout, this.wish), this.view);
  }

  private invalidate(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  private draw(): void {
    if (!this.scene || this.view.width === 0) return;
    if (!this.palette) {
      const { kinds } = this.scene.shape.names;
      this.palette = paletteAt(this.canvas.parentElement ?? document.body, kinds);
      this.sprites = new Sprites(kinds, this.palette);
      this.minimap.colour(this.palette);
    }
    const ratio = this.canvas.width / this.view.width;
    paint(this.context, this.view, ratio, this.camera, this.scene, this.palette, this.sprites as Sprites);
    this.minimap.frame(this.camera, this.view);
    this.canvas.dataset.painted ??= String(Math.round(performance.now()));
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? this.view.height : 1;
    if (event.ctrlKey || event.metaKey || !event.shiftKey) {
      const factor = Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0016));
      this.place(zoomAt(this.camera, factor, event.offsetX, event.offsetY, this.world, this.view));
    } else this.place(pan(this.camera, -(event.deltaX || event.deltaY) * unit, 0, this.world, this.view));
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0 && event.button !== 1) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.pointers.size === 1) this.moved = 0;
  }

  private move(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    const now = { x: event.offsetX, y: event.offsetY };
    if (!before) {
      const { mark } = this.under(now.x, now.y);
      this.hover(mark >= 0 ? (this.scene?.layout.first[mark] ?? -1) : -1, now.x, now.y);
      return;
    }
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    this.moved += Math.abs(dx) + Math.abs(dy);
    if (this.moved > CLICK) this.hover(-1, 0, 0);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (!other) {
      if (this.moved > CLICK) this.place(pan(this.camera, dx, dy, this.world, this.view));
      return;
    }
    const apart = (a: { x: number; y: number }) => Math.max(Math.hypot(a.x - other.x, a.y - other.y), 1);
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    const factor = apart(now) / apart(before);
    const closer = zoomAt(this.camera, factor, middle.x, middle.y, this.world, this.view);
    this.place(pan(closer, dx / 2, dy / 2, this.world, this.view));
  }

  private up(event: PointerEvent): void {
    const pressed = this.pointers.delete(event.pointerId);
    if (!pressed || this.moved > CLICK || event.button !== 0) return;
    const { mark } = this.under(event.offsetX, event.offsetY);
    if (mark < 0 || !this.scene) return;
    const { layout } = this.scene;
    const node = layout.first[mark] as number;
    if ((layout.count[mark] as number) > 1) this.handlers.expand(node);
    else this.handlers.pick(node, event.ctrlKey || event.metaKey || event.shiftKey);
  }

  private under(x: number, y: number): { mark: number } {
    if (!this.scene) return { mark: -1 };
    const { column, row } = cellAt(this.camera, x, y);
    const mark = markAt(this.scene.layout, column, row);
    if (mark < 0) return { mark };
    const at = this.whereIs(this.scene.layout.first[mark] as number);
    const near = Math.max((CELL.height / 2) * this.camera.k, 9);
    return { mark: Math.hypot(at.x - x, at.y - y) <= near * 1.3 ? mark : -1 };
  }

  private hover(node: number, x: number, y: number): void {
    if (!this.scene || this.scene.hovered === node) return;
    this.scene.hovered = node;
    this.canvas.style.cursor = node >= 0 ? "pointer" : "";
    this.handlers.hover(node, x, y);
    this.invalidate();
  }
}
