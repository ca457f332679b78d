import { Button } from "../../parts/Button";
import { Field } from "../../parts/Field";
import { Icon } from "../../parts/Icon";
import type { FieldProps } from "./field";
import styles from "./form.module.css";

/** System prompts, and the last user message, in place of the recorded ones. */
export function PromptFields({ form, set }: FieldProps) {
  const written = form.systems.some((text) => text.trim() !== "");
  const change = (place: number, text: string) =>
    set({ systems: form.systems.map((old, at) => (at === place ? text : old)) });
  return (
    <section className={styles.group} aria-label="Prompts">
      <div className={styles.groupHead}>
        <h2>Prompts</h2>
      </div>
      {form.systems.map((text, place) => (
        <div key={place} className={styles.prompt}>
          <Field label={form.systems.length > 1 ? `System prompt ${place + 1}` : "System prompt"} wide>
            <textarea rows={3} value={text} onChange={(event) => change(place, event.target.value)} />
          </Field>
          <button
            type="button"
            className={styles.remove}
            aria-label={`Remove system prompt ${place + 1}`}
            onClick={() => set({ systems: form.systems.filter((_, at) => at !== place) })}
          >
            <Icon name="close" size={12} />
          </button>
        </div>
      ))}
      <div className={styles.checks}>
        <Button icon="plus" onClick={() => set({ systems: [...form.systems, ""] })}>
          System prompt
        </Button>
        <label>
          <input
            type="checkbox"
            checked={form.noSystem}
            onChange={(event) => set({ noSystem: event.target.checked })}
          />{" "}
          none at all
        </label>
        {(written || form.noSystem) && (
          <label>
            <input
              type="checkbox"
              checked={form.keepSystem}
              onChange={(event) => set({ keepSystem: event.target.checked })}
            />{" "}
            and the recorded one
          </label>
        )}
      </div>
      <Field label="Last user message" hint="empty: as it was recorded" wide>
        <textarea rows={2} value={form.user} onChange={(event) => set({ user: event.target.value })} />
      </Field>
      {form.user.trim() && (
        <label className={styles.checks}>
          <input
            type="checkbox"
            checked={form.keepUser}
            onChange={(event) => set({ keepUser: event.target.checked })}
          />{" "}
          and the recorded one
        </label>
      )}
    </section>
  );
}
