import type { RefObject } from "react";
import type { Schema } from "../../api/client";
import { Button } from "../../parts/Button";
import styles from "./AnswerBar.module.css";
import { type Answer, isComplete, PLACES, toggled } from "./answer";
import type { Entry } from "./desk";
import type { Keys } from "./keymap";

export type FieldName = "preference" | "rating" | "categories" | "comment";

/** The fields of an answer, from top to bottom. */
export function fieldsOf(kind: string): FieldName[] {
  return kind === "pair" ? ["preference", "comment"] : ["rating", "categories", "comment"];
}

type Props = {
  entry: Entry;
  guidelines: Schema["Guidelines"];
  keys: Keys;
  field: FieldName;
  onField: (field: FieldName) => void;
  onAnswer: (answer: Answer) => void;
  onChoose: (answer: Answer) => void;
  onSubmit: () => void;
  onSkip: () => void;
  onFlag: () => void;
  onUndo: () => void;
  comment: RefObject<HTMLTextAreaElement | null>;
};

const ACTION_OF = { first: "first", second: "second", equal: "equal", both_bad: "bothBad" } as const;

/** Where an answer is given: by keys, or by the same buttons. */
export function AnswerBar(props: Props) {
  const { entry, guidelines, keys, field, onField, onAnswer, onChoose } = props;
  const { answer, item } = entry;
  const ready = isComplete(item.kind, answer);
  return (
    <div className={styles.bar}>
      {item.kind === "pair" ? (
        <fieldset className={styles.places} data-on={field === "preference"}>
          <legend className="visually-hidden">Which answer is better</legend>
          {PLACES.map(({ place, label }) => (
            <button
              key={place}
              type="button"
              className={styles.choice}
              aria-pressed={answer.preference === place}
              onClick={() => onChoose({ ...answer, preference: place })}
            >
              <kbd>{keys[ACTION_OF[place]][0]}</kbd> {label}
            </button>
          ))}
        </fieldset>
      ) : (
        <>
          <fieldset className={styles.places} data-on={field === "rating"}>
            <legend className={styles.legend}>Rating</legend>
            {guidelines.ratings.map(({ rating, meaning }) => (
              <button
                key={rating}
                type="button"
                className={styles.choice}
                aria-pressed={answer.rating === rating}
                aria-label={meaning ? `${rating}, ${meaning}` : `${rating}`}
                onClick={() => onAnswer({ ...answer, rating })}
              >
                <b>{rating}</b> <span className="soft">{meaning}</span>
              </button>
            ))}
          </fieldset>
          <fieldset className={styles.categories} data-on={field === "categories"}>
            <legend className={styles.legend}>Categories that hold</legend>
            {guidelines.categories.map((category, index) => (
              <button
                key={category.name}
                type="button"
                className={styles.category}
                aria-pressed={answer.categories.includes(category.name)}
                title={category.definition}
                onClick={() => {
                  onField("categories");
                  onAnswer(toggled(answer, category.name));
                }}
              >
                {field === "categories" && index < 9 && <kbd>{index + 1}</kbd>} {words(category.name)}
              </button>
            ))}
          </fieldset>
        </>
      )}
      <div className={styles.row}>
        <textarea
          ref={props.comment}
          className={styles.comment}
          rows={1}
          maxLength={10_000}
          aria-label="Comment"
          placeholder={`Comment (${keys.comment[0]})`}
          value={answer.note}
          onFocus={() => onField("comment")}
          onChange={(event) => onAnswer({ ...answer, note: event.target.value })}
        />
        <Button onClick={props.onSkip}>
          Skip <kbd>{keys.skip[0]}</kbd>
        </Button>
        <Button icon="flag" aria-pressed={entry.flagged} onClick={props.onFlag}>
          {entry.flagged ? "Flagged" : "Flag"} <kbd>{keys.flag[0]}</kbd>
        </Button>
        <Button onClick={props.onUndo}>
          Undo <kbd>{keys.undo[0]}</kbd>
        </Button>
        <Button kind="primary" className={styles.submit} disabled={!ready} onClick={props.onSubmit}>
          Submit <kbd>{keys.submit[0]}</kbd>
        </Button>
      </div>
    </div>
  );
}

/** A name of a taxonomy as words. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
