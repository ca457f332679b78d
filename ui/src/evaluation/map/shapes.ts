/** Shapes that tell points apart besides their colours. */
export const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "ring", "down", "dot"] as const;
export type MapShape = (typeof SHAPES)[number];

/** Pixels of a shape around its middle: dx, dy, and how much of the pixel is covered, 1 to 255; three items each. */
export type Mask = Int16Array;

const FINE = 5; // samples a side of a pixel

/** Whether a place, with the shape's radius as 1, is inside. */
function inside(shape: MapShape, x: number, y: number): boolean {
  const far = Math.hypot(x, y);
  switch (shape) {
    case "circle":
      return far <= 1;
    case "ring":
      return far <= 1.12 && far >= 0.55;
    case "square":
      return Math.max(Math.abs(x), Math.abs(y)) <= 0.88;
    case "diamond":
      return Math.abs(x) + Math.abs(y) <= 1.3;
    case "cross":
      return Math.min(Math.abs(x), Math.abs(y)) <= 0.38 && Math.max(Math.abs(x), Math.abs(y)) <= 1.15;
    case "triangle":
      return y <= 0.85 && y >= -1.05 && Math.abs(x) <= (y + 1.05) * 0.62;
    case "down":
      return y >= -0.85 && y <= 1.05 && Math.abs(x) <= (1.05 - y) * 0.62;
    default:
      return far <= 0.6;
  }
}

/** The pixels of a shape of a radius in pixels. */
export function maskOf(shape: MapShape, radius: number): Mask {
  const reach = Math.ceil(radius * 1.35);
  const found: number[] = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      let hits = 0;
      for (let a = 0; a < FINE; a++) {
        for (let b = 0; b < FINE; b++) {
          const x = (dx + (a + 0.5) / FINE - 0.5) / radius;
          const y = (dy + (b + 0.5) / FINE - 0.5) / radius;
          if (inside(shape, x, y)) hits++;
        }
      }
      if (hits > 0) found.push(dx, dy, Math.round((hits / FINE ** 2) * 255));
    }
  }
  return Int16Array.from(found);
}
