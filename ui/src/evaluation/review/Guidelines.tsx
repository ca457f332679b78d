import { lazy, Suspense } from "react";
import type { Schema } from "../../api/client";
import { words } from "./AnswerBar";
import styles from "./Guidelines.module.css";

// It knows no raw HTML: what a file says is text, lists and emphasis.
const Markdown = lazy(() => import("react-markdown"));

/** What reviewers go by: the text, and each category with its definition and examples. */
export function Guidelines({ found, kind }: { found: Schema["Guidelines"]; kind: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <aside className={styles.aside} aria-label="Guidelines" tabIndex={0}>
      <div className={styles.text}>
        <Suspense fallback={<pre>{found.markdown}</pre>}>
          <Markdown>{found.markdown}</Markdown>
        </Suspense>
      </div>
      {kind === "unit" && (
        <dl className={styles.categories}>
          {found.categories.map((category) => (
            <div key={category.name}>
              <dt>{words(category.name)}</dt>
              <dd>{category.definition}</dd>
              {category.examples.map((example) => (
                <dd key={example} className={styles.example}>
                  <b>Yes:</b> {example}
                </dd>
              ))}
              {category.counter_examples.map((example) => (
                <dd key={example} className={styles.example}>
                  <b>No:</b> {example}
                </dd>
              ))}
            </div>
          ))}
        </dl>
      )}
    </aside>
  );
}
