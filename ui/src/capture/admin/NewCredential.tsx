import { type ReactNode, useId } from "react";
import { sentence } from "../../api/problem";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import styles from "./admin.module.css";

type Props = {
  /** What is made. */
  noun: string;
  open: boolean;
  busy: boolean;
  error: unknown;
  onMake: () => void;
  onClose: () => void;
  children: ReactNode;
};

/** The dialog that makes a credential; `children` are the fields of its form. */
export function NewCredential({ noun, open, busy, error, onMake, onClose, children }: Props) {
  const form = useId();
  return (
    <Dialog
      title={`New ${noun}`}
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" form={form} busy={busy}>
            {`Make the ${noun}`}
          </Button>
        </>
      }
    >
      <form
        id={form}
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          onMake();
        }}
      >
        {children}
        {error != null && (
          <p role="alert" className={styles.problem}>
            {sentence(error)}
          </p>
        )}
      </form>
    </Dialog>
  );
}
