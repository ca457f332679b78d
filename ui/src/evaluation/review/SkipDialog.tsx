import { useEffect, useState } from "react";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { words } from "./AnswerBar";
import styles from "./SkipDialog.module.css";
import type { Skip } from "./useDesk";

type Props = {
  open: boolean;
  reasons: readonly string[];
  onSkip: (reason: Skip, note: string) => void;
  onClose: () => void;
};

/** Asks why an item is not judged. A number picks the reason. */
export function SkipDialog({ open, reasons, onSkip, onClose }: Props) {
  const [note, setNote] = useState("");
  const pick = (reason: string) => {
    onSkip(reason as Skip, note);
    setNote("");
  };
  useEffect(() => {
    if (!open) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement || event.ctrlKey || event.altKey || event.metaKey) return;
      const reason = /^[1-9]$/.test(event.key) ? reasons[Number(event.key) - 1] : undefined;
      if (!reason) return;
      event.preventDefault();
      onSkip(reason as Skip, note);
      setNote("");
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [open, reasons, note, onSkip]);
  if (!open) return null;
  return (
    <Dialog title="Skip: why can this not be judged?" open={open} onClose={onClose}>
      <div className={styles.reasons}>
        {reasons.map((reason, index) => (
          <Button key={reason} onClick={() => pick(reason)}>
            <kbd>{index + 1}</kbd> {words(reason)}
          </Button>
        ))}
        <input
          aria-label="Note for others"
          placeholder="Note for others (optional)"
          maxLength={10_000}
          value={note}
          onChange={(event) => setNote(event.target.value)}
        />
        <p className="soft">The item goes to another reviewer, and does not come back to you.</p>
      </div>
    </Dialog>
  );
}
