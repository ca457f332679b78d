import { type Camera, CELL, centreOf, RADIUS, type Size } from "./camera";
import { type Graph, type Shape, Special, type Words } from "./graph";
import type { Layout } from "./layout";
import type { Palette } from "./palette";
import type { Sprites } from "./sprites";
import { answerLine, questionLine } from "./words";

/** What is drawn. */
export type Scene = {
  shape: Shape;
  words?: Words;
  graph: Graph;
  layout: Layout;
  /** The end of each line's room for words, in columns. */
  rooms: Float64Array;
  selected: number;
  compared: readonly number[];
  /** By node, 1 on the way from the root to what is selected. */
  lit: Uint8Array;
  /** By node, 1 where a search found it; null without a search. */
  hits: Uint8Array | null;
  hovered: number;
};

/** Below this scale marks are specks, below the other words are not read. */
const SPECKS = 0.34;
const READABLE = 0.78;
const LONGEST_LABEL = 60; // characters

/** By line, the column up to which words after its last mark have room. */
export function roomsOf(layout: Layout): Float64Array {
  const { lines } = layout;
  const order = Array.from({ length: lines.size }, (_, line) => line);
  const begin = (line: number) => layout.column[lines.from[line] as number] as number;
  order.sort((a, b) => (lines.row[a] as number) - (lines.row[b] as number) || begin(a) - begin(b));
  const rooms = new Float64Array(lines.size).fill(Number.POSITIVE_INFINITY);
  for (let at = 0; at + 1 < order.length; at++) {
    const [line, next] = [order[at] as number, order[at + 1] as number];
    if (lines.row[line] === lines.row[next]) rooms[line] = begin(next) - 1;
  }
  return rooms;
}

/** Draw what the camera sees of a scene. Takes time for what is seen, and a little for each line of the tree. */
export function paint(
  context: CanvasRenderingContext2D,
  view: Size,
  ratio: number,
  camera: Camera,
  scene: Scene,
  palette: Palette,
  sprites: Sprites,
): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = palette.ground;
  context.fillRect(0, 0, view.width, view.height);
  context.setTransform(ratio * camera.k, 0, 0, ratio * camera.k, ratio * camera.x, ratio * camera.y);
  const seen = new Seen(camera, view, scene.layout);
  paintLines(context, camera, scene, palette, seen);
  if (camera.k < SPECKS) paintSpecks(context, camera, scene, palette, seen);
  else paintMarks(context, ratio, camera, scene, palette, sprites, seen);
  paintPointers(context, camera, scene, palette);
}

/** The columns and rows in view, with the lines and marks that are in them. */
class Seen {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;

  constructor(
    camera: Camera,
    view: Size,
    private readonly layout: Layout,
  ) {
    this.left = Math.floor(-camera.x / camera.k / CELL.width) - 1;
    this.right = Math.ceil((view.width - camera.x) / camera.k / CELL.width) + 1;
    this.top = Math.floor(-camera.y / camera.k / CELL.height) - 1;
    this.bottom = Math.ceil((view.height - camera.y) / camera.k / CELL.height) + 1;
  }

  /** Calls back with each line in view and the marks of it that are, from one to before another. */
  lines(each: (line: number, from: number, to: number) => void): void {
    const { lines, column } = this.layout;
    for (let line = 0; line < lines.size; line++) {
      const row = lines.row[line] as number;
      if (row < this.top || row > this.bottom) continue;
      const from = lines.from[line] as number;
      const begin = column[from] as number;
      const first = Math.max(from, from + this.left - begin);
      const to = Math.min(lines.to[line] as number, from + this.right - begin + 1);
      if (first < to) each(line, first, to);
    }
  }
}

function paintLines(
  context: CanvasRenderingContext2D,
  camera: Camera,
  scene: Scene,
  palette: Palette,
  seen: Seen,
): void {
  const { layout, lit } = scene;
  const { lines } = layout;
  const corner = CELL.width * 0.4;
  const draw = (only: boolean) => {
    context.beginPath();
    for (let line = 0; line < lines.size; line++) {
      const row = lines.row[line] as number;
      const upRow = lines.upRow[line] as number;
      if (row < seen.top || (upRow < 0 ? row : upRow) > seen.bottom) continue;
      const from = lines.from[line] as number;
      let to = lines.to[line] as number;
      const begin = layout.column[from] as number;
      if (begin - 1 > seen.right || begin + to - from < seen.left) continue;
      if (only) {
        let end = from;
        while (end < to && lit[layout.first[end] as number]) end++;
        to = end;
        if (to === from) continue;
      }
      const y = (row + 0.5) * CELL.height;
      const x = (begin + 0.5) * CELL.width;
      if (upRow >= 0) {
        const upX = ((lines.upColumn[line] as number) + 0.5) * CELL.width;
        context.moveTo(upX, (upRow + 0.5) * CELL.height);
        context.lineTo(upX, y - corner);
        context.quadraticCurveTo(upX, y, upX + corner, y);
        context.lineTo(x, y);
      }
      if (to - from > 1) {
        context.moveTo(x, y);
        context.lineTo(x + (to - from - 1) * CELL.width, y);
      }
    }
    context.stroke();
  };
  context.lineCap = "round";
  context.globalAlpha = 0.6;
  context.strokeStyle = palette.line;
  context.lineWidth = Math.max(1.2, 0.7 / camera.k);
  draw(false);
  context.globalAlpha = 1;
  if (scene.selected < 0) return;
  context.strokeStyle = palette.accent;
  context.lineWidth = Math.max(3, 1.6 / camera.k);
  draw(true);
}

/** From far away: squares in the colours of the kinds, a kind at a time. */
function paintSpecks(
  context: CanvasRenderingContext2D,
  camera: Camera,
  scene: Scene,
  palette: Palette,
  seen: Seen,
): void {
  const { graph, layout, hits } = scene;
  const size = Math.max(RADIUS * 1.7, 2.2 / camera.k);
  const groups: number[][] = palette.kinds.map(() => []);
  const troubles: number[] = [];
  const found: number[] = [];
  const groupOf = (mark: number) => graph.kind[layout.first[mark] as number] as number;
  seen.lines((_, from, to) => {
    for (let mark = from; mark < to; mark++) {
      const node = layout.first[mark] as number;
      if (hits && anyHit(scene, mark)) found.push(mark);
      else if ((graph.special[node] as number) & Special.trouble) troubles.push(mark);
      else groups[groupOf(mark)]?.push(mark);
    }
  });
  const fill = (marks: readonly number[], colour: string, side: number) => {
    context.fillStyle = colour;
    for (const mark of marks) {
      const x = ((layout.column[mark] as number) + 0.5) * CELL.width;
      const y = ((layout.row[mark] as number) + 0.5) * CELL.height;
      context.fillRect(x - side / 2, y - side / 2, side, side);
    }
  };
  context.globalAlpha = hits ? 0.25 : 1;
  groups.forEach((marks, kind) => {
    fill(marks, palette.kinds[kind] ?? palette.text, size);
  });
  fill(troubles, palette.bad, size * 1.15);
  context.globalAlpha = 1;
  fill(found, palette.warn, Math.max(size * 1.4, 5 / camera.k));
}

function anyHit(scene: Scene, mark: number): boolean {
  const { layout, hits, graph } = scene;
  if (!hits) return false;
  const first = layout.first[mark] as number;
  for (let node = layout.last[mark] as number; ; node = graph.parent[node] as number) {
    if (hits[node]) return true;
    if (node === first) return false;
  }
}

function paintMarks(
  context: CanvasRenderingContext2D,
  ratio: number,
  camera: Camera,
  scene: Scene,
  palette: Palette,
  sprites: Sprites,
  seen: Seen,
): void {
  const { layout, graph, shape } = scene;
  const readable = camera.k >= READABLE;
  context.textBaseline = "middle";
  context.font = `600 9.5px ${palette.font}`;
  const scale = camera.k * ratio;
  seen.lines((line, from, to) => {
    const y = ((layout.row[from] as number) + 0.5) * CELL.height;
    for (let mark = from; mark < to; mark++) {
      const x = ((layout.column[mark] as number) + 0.5) * CELL.width;
      const node = layout.first[mark] as number;
      const count = layout.count[mark] as number;
      const found = anyHit(scene, mark);
      context.globalAlpha = scene.hits && !found ? 0.3 : 1;
      if (found) halo(context, x, y, palette.warn, count > 1);
      if (count > 1) {
        paintRun(context, x, y, count, palette, readable);
        continue;
      }
      const sprite = sprites.of(graph.kind[node] as number, shape.nodes.replay[node] === 1, scale);
      const side = sprite.width / scale;
      context.drawImage(sprite, x - side / 2, y - side / 2, side, side);
      const special = graph.special[node] as number;
      if (special > Special.branch || shape.nodes.fidelity[node] !== null)
        paintBadges(context, x, y, node, special, scene, palette);
      if (readable && (shape.nodes.runs[node] as number) > 1) {
        context.fillStyle = palette.soft;
        context.textAlign = "center";
        context.fillText(`${shape.nodes.runs[node]}×`, x, y - 11.5);
      }
    }
    context.globalAlpha = 1;
    if (readable && to === layout.lines.to[line]) paintLabel(context, line, to - 1, scene, palette, seen);
  });
  context.globalAlpha = 1;
}

function halo(context: CanvasRenderingContext2D, x: number, y: number, colour: string, wide: boolean): void {
  context.fillStyle = colour;
  const half = wide ? 15 : 10;
  context.beginPath();
  context.roundRect(x - half, y - 10, 2 * half, 20, 9);
  context.fill();
}

function paintRun(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  count: number,
  palette: Palette,
  readable: boolean,
): void {
  context.fillStyle = palette.surface;
  context.strokeStyle = palette.kinds[1] ?? palette.text;
  context.lineWidth = 1.4;
  context.beginPath();
  context.roundRect(x - 13, y - 7, 26, 14, 7);
  context.fill();
  context.stroke();
  context.textAlign = "center";
  context.fillStyle = palette.text;
  if (readable || count < 1000)
    context.fillText(count < 1000 ? String(count) : `${Math.round(count / 100) / 10}k`, x, y + 0.5);
}

/** What is special about a node, around its mark: each by its place and form, not by its colour alone. */
function paintBadges(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  node: number,
  special: number,
  scene: Scene,
  palette: Palette,
): void {
  const { fidelity, outcome } = scene.shape.nodes;
  if (special & Special.trouble) {
    context.strokeStyle = palette.bad;
    context.lineWidth = 1.8;
    context.beginPath();
    context.moveTo(x - 8, y - 8);
    context.lineTo(x + 8, y + 8);
    context.moveTo(x + 8, y - 8);
    context.lineTo(x - 8, y + 8);
    context.stroke();
  }
  if (special & Special.stale) {
    context.strokeStyle = palette.warn;
    context.lineWidth = 1.6;
    context.setLineDash([2.6, 2.4]);
    context.beginPath();
    context.arc(x, y, 9.4, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  }
  if (special & Special.pivot) {
    context.strokeStyle = palette.info;
    context.lineWidth = 1.8;
    context.beginPath();
    context.moveTo(x, y - 11.5);
    context.lineTo(x + 11.5, y);
    context.lineTo(x, y + 11.5);
    context.lineTo(x - 11.5, y);
    context.closePath();
    context.stroke();
  }
  if (special & Special.link) {
    context.fillStyle = palette.text;
    context.beginPath();
    context.moveTo(x + 6, y - 11);
    context.lineTo(x + 12, y - 11);
    context.lineTo(x + 12, y - 5);
    context.closePath();
    context.fill();
  }
  const kept = fidelity[node] ?? null;
  if (kept !== null) bar(context, x - 8, y + 9.2, 16, 2.4, kept, palette.info, palette);
  const value = outcome[node] ?? null;
  if (value !== null) {
    const share = Math.min(Math.max(value, 0), 1);
    const colour = share >= 0.5 ? palette.good : palette.bad;
    context.fillStyle = palette.surface;
    context.fillRect(x + 9, y - 7, 3.6, 14);
    context.fillStyle = colour;
    context.fillRect(x + 9, y + 7 - 14 * share, 3.6, 14 * share);
    context.strokeStyle = colour;
    context.lineWidth = 0.8;
    context.strokeRect(x + 9, y - 7, 3.6, 14);
  }
}

function bar(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  share: number,
  colour: string,
  palette: Palette,
): void {
  context.fillStyle = palette.surface;
  context.fillRect(x, y, width, height);
  context.fillStyle = colour;
  context.fillRect(x, y, width * share, height);
  context.strokeStyle = colour;
  context.lineWidth = 0.5;
  context.strokeRect(x, y, width, height);
}

/** The words of the last mark of a line, after it, where there is room. */
function paintLabel(
  context: CanvasRenderingContext2D,
  line: number,
  mark: number,
  scene: Scene,
  palette: Palette,
  seen: Seen,
): void {
  const column = layoutColumn(scene, mark);
  const room = (scene.rooms[line] as number) - column;
  if (room < 2 || column > seen.right) return;
  const node = scene.layout.last[mark] as number;
  const text = answerLine(scene.words, node) || questionLine(scene.words, node);
  if (!text) return;
  const most = Math.min(LONGEST_LABEL, Math.floor(((room - 0.6) * CELL.width) / 5.6));
  const { x, y } = centreOf(column, scene.layout.row[mark] as number);
  context.font = `11px ${palette.font}`;
  context.textAlign = "left";
  context.fillStyle = palette.soft;
  context.fillText(text.length > most ? `${text.slice(0, Math.max(most - 1, 1))}…` : text, x + 17, y + 0.5);
  context.font = `600 9.5px ${palette.font}`;
}

function layoutColumn(scene: Scene, mark: number): number {
  return scene.layout.column[mark] as number;
}

/** Rings around what is selected, compared or under the pointer. */
function paintPointers(
  context: CanvasRenderingContext2D,
  camera: Camera,
  scene: Scene,
  palette: Palette,
): void {
  const { layout } = scene;
  const ring = (node: number, colour: string, width: number, extra: number) => {
    if (node < 0) return;
    const mark = layout.markOf[node] as number;
    const { x, y } = centreOf(layout.column[mark] as number, layout.row[mark] as number);
    const wide = (layout.count[mark] as number) > 1 ? 6 : 0;
    const half = Math.max(RADIUS + extra, 5 / camera.k);
    context.strokeStyle = colour;
    context.lineWidth = Math.max(width, width / camera.k / 1.5);
    context.beginPath();
    context.roundRect(x - half - wide, y - half, 2 * (half + wide), 2 * half, half);
    context.stroke();
  };
  for (const node of scene.compared) ring(node, palette.info, 2, 7.5);
  if (scene.hovered !== scene.selected) ring(scene.hovered, palette.soft, 1.2, 5);
  ring(scene.selected, palette.accent, 2.4, 5);
}
