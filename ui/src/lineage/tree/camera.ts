/** What is seen of the world: a point of it is at `x + k * point` on the screen, in CSS pixels. */
export type Camera = { x: number; y: number; k: number };
export type Size = { width: number; height: number };

/** The room that a mark takes, in units of the world. */
export const CELL = { width: 34, height: 26 } as const;
export const RADIUS = 6;
const CLOSEST = 4;
const MARGIN = 40;

/** The size of a world of so many columns and rows. */
export function worldOf(columns: number, rows: number): Size {
  return { width: Math.max(columns, 1) * CELL.width, height: Math.max(rows, 1) * CELL.height };
}

/** The centre of a mark in the world. */
export function centreOf(column: number, row: number): { x: number; y: number } {
  return { x: (column + 0.5) * CELL.width, y: (row + 0.5) * CELL.height };
}

/** The smallest scale: the whole world, twice as far away. */
export function farthest(world: Size, view: Size): number {
  return Math.min(0.5, scaleToFit(world, view) / 2);
}

function scaleToFit(world: Size, view: Size): number {
  return Math.min(
    Math.max(view.width - 2 * MARGIN, 40) / world.width,
    Math.max(view.height - 2 * MARGIN, 40) / world.height,
  );
}

/** Everything, centred, not larger than drawn for. */
export function seeAll(world: Size, view: Size): Camera {
  const k = Math.min(scaleToFit(world, view), 1.4);
  return { k, x: (view.width - world.width * k) / 2, y: (view.height - world.height * k) / 2 };
}

/** Where a tree is first looked at: all of it where its marks can still be told apart, else its root, readably. */
export function firstLook(world: Size, view: Size): Camera {
  const whole = seeAll(world, view);
  if (whole.k >= 0.5) return { ...whole, x: Math.min(whole.x, MARGIN), y: Math.min(whole.y, MARGIN) };
  return { k: 0.8, x: MARGIN, y: MARGIN };
}

/** Closer or farther by a factor, with the point of the screen staying where it is. */
export function zoomAt(
  camera: Camera,
  factor: number,
  x: number,
  y: number,
  world: Size,
  view: Size,
): Camera {
  const k = Math.min(Math.max(camera.k * factor, farthest(world, view)), CLOSEST);
  const by = k / camera.k;
  return keepInView({ k, x: x - (x - camera.x) * by, y: y - (y - camera.y) * by }, world, view);
}

/** Moved by so many pixels. */
export function pan(camera: Camera, dx: number, dy: number, world: Size, view: Size): Camera {
  return keepInView({ ...camera, x: camera.x + dx, y: camera.y + dy }, world, view);
}

/** Moved as little as needed for a part of the world to be seen: at least a quarter of the view at each side. */
function keepInView(camera: Camera, world: Size, view: Size): Camera {
  const held = (at: number, size: number, room: number) =>
    Math.min(Math.max(at, room / 4 - size * camera.k), (room * 3) / 4);
  return {
    ...camera,
    x: held(camera.x, world.width, view.width),
    y: held(camera.y, world.height, view.height),
  };
}

/** Moved as little as needed for a point of the world to be well inside; readably close where it was far away. */
export function reveal(camera: Camera, point: { x: number; y: number }, view: Size): Camera {
  const k = Math.max(camera.k, 0.6);
  if (k !== camera.k) return { k, x: view.width / 2 - point.x * k, y: view.height / 2 - point.y * k };
  const edge = Math.min(90, view.width / 4, view.height / 4);
  const moved = (at: number, place: number, room: number) => {
    const seen = at + place * k;
    return at + Math.max(edge - seen, 0) - Math.max(seen - (room - edge), 0);
  };
  return { k, x: moved(camera.x, point.x, view.width), y: moved(camera.y, point.y, view.height) };
}

/** The column and the row at a point of the screen. */
export function cellAt(camera: Camera, x: number, y: number): { column: number; row: number } {
  return {
    column: Math.floor((x - camera.x) / camera.k / CELL.width),
    row: Math.floor((y - camera.y) / camera.k / CELL.height),
  };
}
