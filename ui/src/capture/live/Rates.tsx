import styles from "./live.module.css";

const WIDTH = 6;
const HEIGHT = 36;

/** Bars of how many calls came in, the latest at the right. */
export function Rates({ rates, seconds }: { rates: readonly number[]; seconds: number }) {
  const highest = Math.max(1, ...rates);
  const label = `Calls per ${seconds} seconds, the latest last: ${rates.join(", ")}`;
  return (
    <svg
      className={styles.rates}
      viewBox={`0 0 ${rates.length * WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {rates.map((rate, place) => {
        const height = rate === 0 ? 1 : Math.max(3, (rate / highest) * HEIGHT);
        return (
          <rect
            key={place}
            x={place * WIDTH}
            y={HEIGHT - height}
            width={WIDTH - 1.5}
            height={height}
            className={rate === 0 ? styles.idle : styles.bar}
          />
        );
      })}
    </svg>
  );
}
