import { type KeyboardEvent, useState } from "react";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { keyName } from "../../parts/shortcuts";
import styles from "./KeysDialog.module.css";
import { ACTIONS, type Action, DEFAULT_KEYS, DOES, type Keys, refusal, remapped } from "./keymap";

type Props = { open: boolean; keys: Keys; onChange: (keys: Keys) => void; onClose: () => void };

/** The keys of the desk, each of which can be another one. */
export function KeysDialog({ open, keys, onChange, onClose }: Props) {
  const [asking, setAsking] = useState<Action | null>(null);
  const [problem, setProblem] = useState("");
  const close = () => {
    setAsking(null);
    setProblem("");
    onClose();
  };
  const onKey = (event: KeyboardEvent) => {
    if (!asking || ["Tab", "Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock"].includes(event.key))
      return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape" && asking !== "leave") return setAsking(null);
    const key = keyName(event.nativeEvent);
    const why = refusal(keys, asking, key);
    setProblem(why ?? "");
    if (why) return;
    onChange(remapped(keys, asking, key));
    setAsking(null);
  };
  if (!open) return null;
  return (
    <Dialog
      title="Keys of the desk"
      open={open}
      onClose={close}
      actions={<Button onClick={() => onChange(DEFAULT_KEYS)}>Reset all</Button>}
    >
      <p className="soft">
        Kept in this browser for you. Numbers 1 to 9 pick an option of the field, <kbd>?</kbd> shows all keys.
      </p>
      {problem && (
        <p role="alert" className={styles.problem}>
          {problem}
        </p>
      )}
      <div className={styles.keys} onKeyDownCapture={onKey}>
        {ACTIONS.map((action) => (
          <div key={action} className={styles.row}>
            <span>{DOES[action]}</span>
            <Button
              aria-label={`${DOES[action]}: ${keys[action].join(" or ")}. Change`}
              aria-pressed={asking === action}
              onClick={() => {
                setProblem("");
                setAsking(asking === action ? null : action);
              }}
            >
              {asking === action ? "press a key …" : keys[action].map((key) => <kbd key={key}>{key}</kbd>)}
            </Button>
          </div>
        ))}
      </div>
    </Dialog>
  );
}
