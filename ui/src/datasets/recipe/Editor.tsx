import { useRef } from "react";
import type { Schema } from "../../api/client";
import { Icon } from "../../parts/Icon";
import styles from "./Editor.module.css";
import { lineCount, lineRange } from "./lines";

type Props = {
  text: string;
  onChange: (text: string) => void;
  mistakes: readonly Schema["RecipeMistake"][];
};

/** A text with numbers of its lines; lines with a mistake are marked, and the mistakes lead there. */
export function Editor({ text, onChange, mistakes }: Props) {
  const area = useRef<HTMLTextAreaElement>(null);
  const wrong = new Set(mistakes.map((one) => one.line));
  const lines = lineCount(text);
  const goTo = (line: number) => {
    const [start, end] = lineRange(text, line);
    area.current?.focus();
    area.current?.setSelectionRange(start, end);
  };
  return (
    <div className={styles.editor}>
      <div className={wrong.size > 0 ? `${styles.frame} ${styles.wrong}` : styles.frame}>
        <div className={styles.gutter} aria-hidden="true">
          {Array.from({ length: lines }, (_, index) => (
            <span key={index} className={wrong.has(index + 1) ? styles.bad : undefined}>
              {index + 1}
            </span>
          ))}
        </div>
        <textarea
          ref={area}
          className={styles.text}
          aria-label="Recipe (TOML)"
          aria-invalid={mistakes.length > 0 || undefined}
          aria-describedby={mistakes.length > 0 ? "mistakes" : undefined}
          rows={Math.max(lines, 12)}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          wrap="off"
          value={text}
          onChange={(event) => onChange(event.target.value)}
        />
      </div>
      {mistakes.length > 0 && (
        <ul id="mistakes" className={styles.mistakes} aria-live="polite">
          {mistakes.map((one, index) => (
            <li key={index}>
              <Icon name="warning" size={14} />
              {one.line ? (
                <button type="button" onClick={() => goTo(one.line ?? 1)}>
                  Line {one.line}
                </button>
              ) : null}
              <span>{one.message}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
