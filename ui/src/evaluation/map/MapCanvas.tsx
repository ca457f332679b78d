import {
  type KeyboardEvent,
  type PointerEvent,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import type { Colouring } from "./colouring";
import styles from "./map.module.css";
import type { MapData } from "./mapData";
import { drawOverlay, type MapName } from "./overlay";
import { paint, radiusOf } from "./paint";
import { usePalette } from "./palette";
import { lassoOf, type Place, PointGrid } from "./selection";
import {
  fitted,
  moved,
  readView,
  type Size,
  stepped,
  toMap,
  toScreen,
  type View,
  written,
  zoomed,
} from "./view";

type Props = {
  data: MapData;
  colouring: Colouring;
  names: readonly MapName[];
  selected: Uint8Array | null;
  lasso: readonly Place[];
  /** Whether a drag draws around points instead of moving the map; with Shift it always does. */
  drawing: boolean;
  /** The view of the address; '' shows everything. */
  at: string;
  onView: (at: string) => void;
  onLasso: (lasso: Place[]) => void;
  onHover: (point: number, x: number, y: number) => void;
  onOpen: (point: number) => void;
};

const NEAR = 9; // pixels around a point that count as on it
const REST = 300; // milliseconds after which a view goes into the address

/** The points, drawn by hand into pixels; moved by dragging and arrow keys, zoomed by the wheel, + and -. */
export function MapCanvas(props: Props) {
  const { data, at } = props;
  const palette = usePalette();
  const frame = useRef<HTMLDivElement>(null);
  const points = useRef<HTMLCanvasElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const view = useRef<View>({ scale: 1, dx: 0, dy: 0 });
  const line = useRef<Place[]>([]);
  const held = useRef<{ x: number; y: number; moved: boolean; draws: boolean } | null>(null);
  const waiting = useRef(0);
  const image = useRef<{ data: ImageData; pixels: Uint32Array } | null>(null);
  const grid = useMemo(() => new PointGrid(data), [data]);

  const current = useRef(props);
  current.current = props;

  const draw = useCallback(() => {
    waiting.current = 0;
    const context = points.current?.getContext("2d", { alpha: false, willReadFrequently: true });
    const above = overlay.current?.getContext("2d");
    if (!context || !above || size.width === 0) return;
    const ratio = ratioOf();
    const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
    if (image.current?.data.width !== width || image.current.data.height !== height) {
      const made = new ImageData(width, height);
      image.current = { data: made, pixels: new Uint32Array(made.data.buffer) };
      for (const canvas of [context.canvas, above.canvas]) Object.assign(canvas, { width, height });
    }
    const { data, colouring, selected, names, lasso } = current.current;
    const now = view.current;
    const zoom = now.scale / fitted(size).scale;
    const scaled = { scale: now.scale * ratio, dx: now.dx * ratio, dy: now.dy * ratio };
    const radius = radiusOf(data.points, zoom, Math.min(size.width, size.height)) * ratio;
    paint(image.current.pixels, width, height, data, colouring, palette, scaled, radius, selected);
    context.putImageData(image.current.data, 0, 0);
    const drawn = line.current.length ? line.current : lasso.map(([x, y]) => toScreen(now, x, y));
    drawOverlay(above, ratio, size, now, names, drawn, palette);
  }, [size, palette]);

  const redraw = useCallback(() => {
    if (waiting.current === 0) waiting.current = requestAnimationFrame(draw);
  }, [draw]);

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const watcher = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  // A view that this very canvas wrote into the address is not read back.
  const wrote = useRef<string | null>(null);
  useEffect(() => {
    if (size.width > 0 && at !== wrote.current) view.current = readView(at, size);
    wrote.current = null;
    redraw();
  }, [at, size, redraw]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever is drawn changed
  useEffect(redraw, [redraw, data, props.colouring, props.names, props.selected, props.lasso]);
  useEffect(() => () => cancelAnimationFrame(waiting.current), []);

  const rest = useRef(0);
  const look = useCallback(
    (next: View) => {
      view.current = next;
      redraw();
      clearTimeout(rest.current);
      rest.current = window.setTimeout(() => {
        wrote.current = written(view.current, size);
        current.current.onView(wrote.current);
      }, REST);
    },
    [redraw, size],
  );
  useEffect(() => () => clearTimeout(rest.current), []);

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      look(
        zoomed(view.current, size, Math.exp(-event.deltaY * lines * 0.0016), event.offsetX, event.offsetY),
      );
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [look, size]);

  const under = (x: number, y: number) => {
    const [mx, my] = toMap(view.current, x, y);
    return grid.nearest(mx, my, NEAR / view.current.scale);
  };
  const onDown = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const [x, y] = placeOf(event);
    const draws = props.drawing !== event.shiftKey;
    held.current = { x, y, moved: false, draws };
    line.current = draws ? [[x, y]] : [];
  };
  const onMove = (event: PointerEvent<HTMLDivElement>) => {
    const [x, y] = placeOf(event);
    const hold = held.current;
    if (!hold) return props.onHover(under(x, y), x, y);
    if (!hold.moved && Math.hypot(x - hold.x, y - hold.y) < 4) return;
    hold.moved = true;
    props.onHover(-1, x, y);
    if (hold.draws) {
      line.current.push([x, y]);
      redraw();
    } else {
      look(moved(view.current, x - hold.x, y - hold.y));
      [hold.x, hold.y] = [x, y];
    }
  };
  const onUp = (event: PointerEvent<HTMLDivElement>) => {
    const hold = held.current;
    held.current = null;
    if (!hold) return;
    const [x, y] = placeOf(event);
    if (hold.moved && hold.draws) props.onLasso(lassoOf(view.current, line.current));
    line.current = [];
    if (!hold.moved) {
      const point = under(x, y);
      if (point >= 0) props.onOpen(point);
    }
    redraw();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const next = stepped(view.current, size, event.key);
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    look(next);
  };

  return (
    <div
      ref={frame}
      className={styles.frame}
      role="application"
      aria-label="Map of the paths. Arrow keys move it, plus and minus zoom, 0 shows everything. The list of clusters has the same content."
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes keys
      tabIndex={0}
      data-drawing={props.drawing || undefined}
      onPointerDown={onDown}
      onPointerMove={onMove}
      onPointerUp={onUp}
      onPointerCancel={() => {
        held.current = null;
        line.current = [];
        redraw();
      }}
      onPointerLeave={() => props.onHover(-1, 0, 0)}
      onKeyDown={onKey}
    >
      <canvas ref={points} className={styles.points} />
      <canvas ref={overlay} className={styles.points} />
    </div>
  );
}

function ratioOf(): number {
  return Math.min(2, window.devicePixelRatio || 1);
}

function placeOf(event: PointerEvent<HTMLDivElement>): [number, number] {
  return [event.nativeEvent.offsetX, event.nativeEvent.offsetY];
}
