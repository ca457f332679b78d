import type { PointStyle } from "./colouring";
import type { MapShape } from "./shapes";

const PATHS: Readonly<Record<MapShape, string>> = {
  circle: "M7 2.5a4.5 4.500 0 1 0 .01 0z",
  square: "M3 3h8v8H3z",
  triangle: "M7 2l5 9H2z",
  down: "M7 12L2 3h10z",
  diamond: "M7 1.500l5.500 5.500L7 12.500 1.500 7z",
  cross: "M5.400 2h3.200v3.400H12v3.200H8.600V12H5.400V8.600H2V5.400h3.400z",
  ring: "M7 3a4 4 0 1 0 .01 0z",
  dot: "M7 4.800a2.200 2.200 0 1 0 .01 0z",
};

/** How a point is drawn on the map, beside a word. */
export function ShapeMark({ style }: { style: PointStyle }) {
  const colour = `var(${style.colour})`;
  const ring = style.shape === "ring";
  return (
    <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" focusable="false">
      <path
        d={PATHS[style.shape]}
        fill={ring ? "none" : colour}
        stroke={ring ? colour : "none"}
        strokeWidth={ring ? 2 : 0}
      />
    </svg>
  );
}
