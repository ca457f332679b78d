import { cloneElement, type ReactElement, type ReactNode, useId } from "react";
import styles from "./Field.module.css";

type Props = {
  label: string;
  hint?: ReactNode;
  problem?: string;
  wide?: boolean;
  children: ReactElement<Record<string, unknown>>;
};

/** A label above an input, with a hint and the problem of what was entered. */
export function Field({ label, hint, problem, wide = false, children }: Props) {
  const id = useId();
  const notes = [hint ? `${id}-hint` : "", problem ? `${id}-problem` : ""].filter(Boolean).join(" ");
  return (
    <div className={wide ? `${styles.field} ${styles.wide}` : styles.field}>
      <label htmlFor={id}>{label}</label>
      {cloneElement(children, {
        id,
        "aria-describedby": notes || undefined,
        "aria-invalid": problem ? true : undefined,
      })}
      {hint && (
        <small id={`${id}-hint`} className="soft">
          {hint}
        </small>
      )}
      {problem && (
        <small id={`${id}-problem`} role="alert" className={styles.problem}>
          {problem}
        </small>
      )}
    </div>
  );
}
