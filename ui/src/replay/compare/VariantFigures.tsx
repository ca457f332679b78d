import { count, duration, figure, modelName, percent } from "../../parts/format";
import { money } from "../form/words";
import styles from "./compare.module.css";
import { largestOf, spreadBar, type Variant } from "./figures";

type Props = {
  /** What the table is called, where a page has several. */
  label?: string;
  variants: readonly Variant[];
  /** The variants that are chosen, by their ids; with `onChoose` only. */
  chosen?: readonly string[];
  onChoose?: (variant: string) => void;
};

/** What became of each variant's samples: how much they agree, how long they are, what they took and earned. */
export function VariantFigures({ label = "Variants", variants, chosen = [], onChoose }: Props) {
  const largest = largestOf(variants);
  const paid = variants.some((one) => one.cost !== null);
  const valued = variants.some((one) => one.reward !== null);
  const true_ = variants.some((one) => one.fidelity !== null);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className={styles.scroll} aria-label={label} tabIndex={0}>
      <table className={styles.variants}>
        <thead>
          <tr>
            <th scope="col">Variant</th>
            <th scope="col" className={styles.number}>
              Samples
            </th>
            <th scope="col" className={styles.number} title="answers that say different things">
              Distinct
            </th>
            <th scope="col" title="share of pairs of answers that say the same">
              Agreement
            </th>
            <th scope="col" title="mean length of an answer in characters, and its standard deviation">
              Length
            </th>
            <th scope="col" className={styles.number}>
              Refusals
            </th>
            <th scope="col" className={styles.number}>
              Errors
            </th>
            <th scope="col" className={styles.number} title="mean tokens of an answer">
              Tokens
            </th>
            <th scope="col" className={styles.number} title="mean time of a call">
              Time
            </th>
            {paid && (
              <th scope="col" className={styles.number} title="mean cost of a call">
                Cost
              </th>
            )}
            {valued && (
              <th scope="col" className={styles.number} title="mean reward, of those that have one">
                Reward
              </th>
            )}
            {true_ && (
              <th scope="col" className={styles.number} title="mean share of recorded results">
                Fidelity
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {variants.map((one) => (
            <tr key={one.variant_id} className={one.superseded ? styles.superseded : undefined}>
              <th scope="row">
                {onChoose ? (
                  <button
                    type="button"
                    className={styles.choose}
                    aria-pressed={chosen.includes(one.variant_id)}
                    title={`Show only answers of: ${one.words}`}
                    onClick={() => onChoose(one.variant_id)}
                  >
                    {one.words}
                  </button>
                ) : (
                  one.words
                )}
                {one.superseded && <span className="soft"> (superseded)</span>}
                <span className={styles.models} title={one.models.join(", ")}>
                  {one.models.map(modelName).join(", ")}
                </span>
              </th>
              <td className={styles.number}>{count(one.samples)}</td>
              <td className={styles.number}>{count(one.distinct)}</td>
              <td>
                <Share share={one.samples > 1 ? one.agreement : null} />
              </td>
              <td>
                <Spread variant={one} largest={largest} />
              </td>
              <td className={styles.number}>{one.answers ? percent(one.refusals) : "–"}</td>
              <td className={styles.number}>{percent(one.errors)}</td>
              <td className={styles.number}>{figure(one.completion_tokens, 0)}</td>
              <td className={styles.number}>{duration(one.seconds * 1000)}</td>
              {paid && <td className={styles.number}>{money(one.cost)}</td>}
              {valued && <td className={styles.number}>{figure(one.reward)}</td>}
              {true_ && <td className={styles.number}>{percent(one.fidelity)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Share({ share }: { share: number | null }) {
  if (share === null) return <span className="soft">–</span>;
  return (
    <span className={styles.bar}>
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect className={styles.ground} width="100" height="8" />
        <rect className={styles.share} width={share * 100} height="8" />
      </svg>
      {percent(share)}
    </span>
  );
}

function Spread({ variant, largest }: { variant: Variant; largest: number }) {
  const bar = spreadBar(variant.length, variant.length_spread, largest);
  if (!bar || variant.length === null) return <span className="soft">–</span>;
  return (
    <span className={styles.bar}>
      <svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
        <rect className={styles.ground} y="5" width="100" height="2" />
        <rect
          className={styles.spread}
          x={bar.from}
          y="2"
          width={Math.max(bar.to - bar.from, 0.5)}
          height="8"
        />
        <rect className={styles.mean} x={Math.min(bar.mean, 98.5)} width="1.5" height="12" />
      </svg>
      <span>
        {count(Math.round(variant.length))}
        {variant.length_spread !== null && (
          <span className="soft"> ± {count(Math.round(variant.length_spread))}</span>
        )}
      </span>
    </span>
  );
}
