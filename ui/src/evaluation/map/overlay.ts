import { placed, shortName } from "./labels";
import type { Palette, Rgb } from "./paint";
import type { Place } from "./selection";
import { type Size, toScreen, type View } from "./view";

/** A cluster's name at its middle on the map. */
export type MapName = { name: string; x: number; y: number };

const FONT = '600 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const ROOM = 18_000; // square pixels of the map for each name
const widths = new Map<string, number>();

function css([red, green, blue]: Rgb, alpha = 1): string {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

/** Draw the names, none over another, and the line of a lasso. */
export function drawOverlay(
  context: CanvasRenderingContext2D,
  ratio: number,
  size: Size,
  view: View,
  names: readonly MapName[],
  lasso: readonly Place[],
  palette: Palette,
): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const inSight = [];
  for (const each of names) {
    const [x, y] = toScreen(view, each.x, each.y);
    if (x < -80 || y < 0 || x > size.width + 80 || y > size.height) continue;
    const text = shortName(each.name);
    let width = widths.get(text);
    if (width === undefined) {
      width = context.measureText(text).width;
      widths.set(text, width);
    }
    // A name whose middle is in sight is read whole.
    const edge = width / 2 + 4;
    const inside = x > 0 && x < size.width ? Math.max(edge, Math.min(size.width - edge, x)) : x;
    inSight.push({ text, x: inside, y, width });
  }
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = css(palette.ground, 0.88);
  context.fillStyle = css(palette.of.get("--text") ?? [0, 0, 0]);
  for (const { text, x, y } of placed(inSight).slice(0, Math.ceil((size.width * size.height) / ROOM))) {
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }
  if (lasso.length > 1) {
    const accent = palette.of.get("--accent") ?? [0, 0, 0];
    context.beginPath();
    for (const [x, y] of lasso) context.lineTo(x, y);
    context.closePath();
    context.fillStyle = css(accent, 0.08);
    context.fill();
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.strokeStyle = css(accent);
    context.stroke();
    context.setLineDash([]);
  }
}
