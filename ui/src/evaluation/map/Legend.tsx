import type { PointStyle } from "./colouring";
import styles from "./map.module.css";
import { ShapeMark } from "./ShapeMark";

const SHOWN = 12;

/** What the marks on the map mean. */
export function Legend({ styles: marks }: { styles: readonly PointStyle[] }) {
  return (
    <ul className={styles.legend} aria-label="Legend">
      {marks.slice(0, SHOWN).map((one) => (
        <li key={one.label}>
          <ShapeMark style={one} />
          {one.label}
        </li>
      ))}
      {marks.length > SHOWN && <li>and {marks.length - SHOWN} more</li>}
    </ul>
  );
}
