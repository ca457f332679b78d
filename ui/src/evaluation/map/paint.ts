import type { Colouring } from "./colouring";
import type { MapData } from "./mapData";
import { type Mask, maskOf } from "./shapes";
import type { View } from "./view";

/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** The colours of the theme that is shown. */
export type Palette = { ground: Rgb; of: ReadonlyMap<string, Rgb> };

const FADED = 0.2; // of what is not selected

/** A colour part of the way to another. */
export function mixed(from: Rgb, to: Rgb, share: number): Rgb {
  return [0, 1, 2].map((at) =>
    Math.round((from[at] as number) * (1 - share) + (to[at] as number) * share),
  ) as [number, number, number];
}

function packed([red, green, blue]: Rgb): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Radius of a point in CSS pixels: small where many are, larger on a large map and the further it is zoomed in. */
export function radiusOf(points: number, zoom: number, side = 700): number {
  const alone = points > 5_000 ? 1.9 : points > 1_000 ? 2.6 : 3.6;
  return Math.min(8, alone * zoom ** 0.35 * Math.max(1, side / 700) ** 0.5);
}

/**
 * Draw every point into pixels (little-endian RGBA), the selected ones last. Masks are stamped by hand: a canvas without
 * a graphics card takes several times as long for as many paths.
 */
export function paint(
  pixels: Uint32Array,
  width: number,
  height: number,
  data: MapData,
  colouring: Colouring,
  palette: Palette,
  view: View,
  radius: number,
  selected: Uint8Array | null,
): void {
  pixels.fill(packed(palette.ground));
  const grey: Rgb = [128, 128, 128];
  const masks: Mask[] = colouring.styles.map((style) => maskOf(style.shape, radius));
  const colours = colouring.styles.map((style) => palette.of.get(style.colour) ?? grey);
  const faded = colours.map((colour) => mixed(palette.ground, colour, FADED));
  const stamp = (wanted: 0 | 1, of: readonly Rgb[]) => {
    const solid = of.map(packed);
    const { x, y, points } = data;
    const reach = Math.ceil(radius * 1.35) + 1;
    for (let at = 0; at < points; at++) {
      if (selected !== null && selected[at] !== wanted) continue;
      const px = Math.round((x[at] as number) * view.scale + view.dx);
      const py = Math.round(view.dy - (y[at] as number) * view.scale);
      if (px < reach || py < reach || px >= width - reach || py >= height - reach) continue;
      const style = colouring.of[at] as number;
      const mask = masks[style] as Mask;
      const middle = py * width + px;
      const colour = solid[style] as number;
      for (let i = 0; i < mask.length; i += 3) {
        const place = middle + (mask[i + 1] as number) * width + (mask[i] as number);
        const cover = mask[i + 2] as number;
        pixels[place] = cover === 255 ? colour : blended(pixels[place] as number, colour, cover);
      }
    }
  };
  if (selected !== null) stamp(0, faded);
  stamp(1, colours);
}

function blended(below: number, above: number, cover: number): number {
  const rest = 255 - cover;
  const red = ((below & 255) * rest + (above & 255) * cover) >> 8;
  const green = (((below >> 8) & 255) * rest + ((above >> 8) & 255) * cover) >> 8;
  const blue = (((below >> 16) & 255) * rest + ((above >> 16) & 255) * cover) >> 8;
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
