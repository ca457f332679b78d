import { percent } from "../../parts/format";
import { signed } from "../figures/number";
import { biasesOf, type Figures } from "./judges";
import styles from "./judges.module.css";

/** What a judge leans to, each beside what it should be; and whether it drifts. */
export function Biases({ figures, items }: { figures: Figures; items: number | null }) {
  const biases = biasesOf(figures, items);
  const drift = figures.kappa_early !== null && figures.kappa_late !== null;
  if (biases.length === 0 && !drift && figures.prevalence === null)
    return <p className="soft">Its biases are not known.</p>;
  return (
    <dl className={styles.biases}>
      {biases.map((bias) => (
        <div key={bias.name}>
          <dt>It {bias.name}</dt>
          <dd>
            <b>{percent(bias.share)}</b>{" "}
            <span className="soft">
              {bias.besideName} {bias.besideName === "people" && percent(bias.beside)}
              {bias.n !== null && ` · n ${bias.n}`}
            </span>
            <svg
              viewBox="0 0 100 10"
              preserveAspectRatio="xMinYMid"
              className={styles.scale}
              aria-hidden="true"
            >
              <rect x="0" y="3" width="100" height="4" rx="2" className={styles.track} />
              <rect
                x={100 * Math.min(bias.share, bias.beside)}
                y="3"
                width={100 * Math.abs(bias.share - bias.beside)}
                height="4"
                className={styles.excess}
              />
              <line x1={100 * bias.beside} x2={100 * bias.beside} y1="0" y2="10" className={styles.beside} />
              <circle cx={2 + 96 * bias.share} cy="5" r="3" className={styles.share} />
            </svg>
          </dd>
        </div>
      ))}
      {figures.prevalence !== null && (
        <div>
          <dt>Share of paths with this category</dt>
          <dd>
            <b>{percent(figures.prevalence)}</b> of {figures.judged} paths{" "}
            {figures.corrected_prevalence !== null && (
              <span className="soft">corrected (Rogan–Gladen) {percent(figures.corrected_prevalence)}</span>
            )}
          </dd>
        </div>
      )}
      {drift && (
        <div>
          <dt>Drift: κ of its earlier and its later half</dt>
          <dd>
            <b>
              {signed(figures.kappa_early)} → {signed(figures.kappa_late)}
            </b>{" "}
            <span className="soft">n {figures.items}</span>
          </dd>
        </div>
      )}
    </dl>
  );
}
