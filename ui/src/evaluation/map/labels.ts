export type Label = { text: string; x: number; y: number; width: number };
export type PlacedLabel = { text: string; x: number; y: number };

const HEIGHT = 16;
const GAP = 3;
const NEAR: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, -1],
  [0, 1],
  [0, -2],
  [0, 2],
];

/**
 * Places names around their middles so that none covers another: the first of the list has the first choice; one that
 * finds no room is left out. Coordinates are pixels; a label is `width` wide and HEIGHT high around its place.
 */
export function placed(labels: readonly Label[]): PlacedLabel[] {
  const taken: { left: number; right: number; top: number; bottom: number }[] = [];
  const found: PlacedLabel[] = [];
  for (const label of labels) {
    for (const [dx, dy] of NEAR) {
      const x = label.x + dx * label.width;
      const y = label.y + dy * (HEIGHT + GAP);
      const box = {
        left: x - label.width / 2 - GAP,
        right: x + label.width / 2 + GAP,
        top: y - HEIGHT / 2 - GAP / 2,
        bottom: y + HEIGHT / 2 + GAP / 2,
      };
      const free = taken.every(
        (one) =>
          box.right <= one.left || box.left >= one.right || box.bottom <= one.top || box.top >= one.bottom,
      );
      if (free) {
        taken.push(box);
        found.push({ text: label.text, x, y });
        break;
      }
    }
  }
  return found;
}

/** A name short enough for a map. */
export function shortName(name: string, most = 32): string {
  return name.length > most ? `${name.slice(0, most - 1).trimEnd()}…` : name;
}
