/** Where the map is on the screen: pixels = map * scale + offset; the map's y goes up. */
export type View = { scale: number; dx: number; dy: number };
export type Size = { width: number; height: number };

const MARGIN = 1.06;
const MOST = 60; // times the scale that shows everything

/** Everything in sight. */
export function fitted(size: Size): View {
  const scale = Math.max(1, Math.min(size.width, size.height) / 2 / MARGIN);
  return { scale, dx: size.width / 2, dy: size.height / 2 };
}

export function toScreen(view: View, x: number, y: number): [number, number] {
  return [x * view.scale + view.dx, view.dy - y * view.scale];
}

export function toMap(view: View, px: number, py: number): [number, number] {
  return [(px - view.dx) / view.scale, (view.dy - py) / view.scale];
}

/** The view after zooming by a factor; what is at a pixel stays there. */
export function zoomed(view: View, size: Size, factor: number, px: number, py: number): View {
  const whole = fitted(size).scale;
  const scale = Math.max(whole * 0.5, Math.min(whole * MOST, view.scale * factor));
  const by = scale / view.scale;
  return { scale, dx: px - (px - view.dx) * by, dy: py - (py - view.dy) * by };
}

export function moved(view: View, by: number, down: number): View {
  return { ...view, dx: view.dx + by, dy: view.dy + down };
}

/** A view for the address: the map's point in the middle, and how many times everything it is enlarged. */
export function written(view: View, size: Size): string {
  const [x, y] = toMap(view, size.width / 2, size.height / 2);
  const times = view.scale / fitted(size).scale;
  if (Math.abs(x) < 1e-3 && Math.abs(y) < 1e-3 && Math.abs(times - 1) < 1e-3) return "";
  return [x, y, times].map((value) => value.toFixed(3)).join(",");
}

export function readView(text: string, size: Size): View {
  const [x, y, times] = text.split(",").map(Number);
  const whole = fitted(size);
  if (x === undefined || y === undefined || times === undefined) return whole;
  if (![x, y, times].every(Number.isFinite) || times <= 0) return whole;
  const scale = whole.scale * Math.max(0.5, Math.min(MOST, times));
  return { scale, dx: size.width / 2 - x * scale, dy: size.height / 2 + y * scale };
}

const STEP = 60; // pixels
const ZOOM = 1.4;

/** The view after a key: arrows move, + and - zoom about the middle, 0 shows everything; null for other keys. */
export function stepped(view: View, size: Size, key: string): View | null {
  const [x, y] = [size.width / 2, size.height / 2];
  switch (key) {
    case "ArrowLeft":
      return moved(view, STEP, 0);
    case "ArrowRight":
      return moved(view, -STEP, 0);
    case "ArrowUp":
      return moved(view, 0, STEP);
    case "ArrowDown":
      return moved(view, 0, -STEP);
    case "+":
    case "=":
      return zoomed(view, size, ZOOM, x, y);
    case "-":
      return zoomed(view, size, 1 / ZOOM, x, y);
    case "0":
      return fitted(size);
    default:
      return null;
  }
}
