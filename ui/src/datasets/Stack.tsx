import { count, percent } from "../parts/format";
import styles from "./Stack.module.css";

export type Piece = { label: string; value: number; colour: string };

/** Parts of a whole as one bar, with a legend that says the same in figures. */
export function Stack({ label, pieces }: { label: string; pieces: readonly Piece[] }) {
  const whole = pieces.reduce((sum, piece) => sum + piece.value, 0);
  return (
    <figure className={styles.stack} aria-label={label}>
      <div className={styles.bar} aria-hidden="true">
        {pieces.map(
          (piece) =>
            piece.value > 0 && (
              <span key={piece.label} style={{ flexGrow: piece.value, background: `var(${piece.colour})` }} />
            ),
        )}
      </div>
      <ul className={styles.legend}>
        {pieces.map((piece) => (
          <li key={piece.label}>
            <span className={styles.mark} aria-hidden="true" style={{ background: `var(${piece.colour})` }} />
            {piece.label} <b>{count(piece.value)}</b>{" "}
            <span className="soft">{whole > 0 ? percent(piece.value / whole) : ""}</span>
          </li>
        ))}
      </ul>
    </figure>
  );
}

const HUES = ["--hue-1", "--hue-2", "--hue-5", "--hue-4", "--hue-3", "--hue-6", "--hue-7", "--hue-8"];

/** Splits with a colour each, in the order of the recipe. */
export function splitPieces(splits: Readonly<Record<string, unknown>>): Piece[] {
  return Object.entries(splits).map(([label, value], index) => ({
    label,
    value: Number(value) || 0,
    colour: HUES[index % HUES.length] ?? "--hue-8",
  }));
}
