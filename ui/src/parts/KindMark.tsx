import { markOf, outline } from "./kinds";

/** The mark of a kind of branch, with its name beside it or, in tight places, only for screen readers. */
export function KindMark({ kind, bare = false }: { kind: string; bare?: boolean }) {
  const mark = markOf(kind);
  const colour = `var(${mark.hue})`;
  return (
    <span
      style={{ display: "inline-flex", alignItems: "center", gap: "0.35em", whiteSpace: "nowrap" }}
      title={mark.label}
    >
      <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
        <path
          d={outline(mark.shape, 7, 7, 4.6)}
          fill={mark.shape === "ring" ? "none" : colour}
          stroke={colour}
          strokeWidth={mark.shape === "ring" ? 2 : 0}
        />
      </svg>
      <span className={bare ? "visually-hidden" : undefined}>{mark.label}</span>
    </span>
  );
}
