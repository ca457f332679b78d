import type { ReactNode } from "react";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";

type Props = {
  title: string;
  act: string;
  open: boolean;
  busy?: boolean;
  onAct: () => void;
  onClose: () => void;
  children: ReactNode;
};

/** Asks before something is done that cannot be undone. */
export function Confirm({ title, act, open, busy, onAct, onClose, children }: Props) {
  return (
    <Dialog
      title={title}
      open={open}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" busy={busy} onClick={onAct}>
            {act}
          </Button>
        </>
      }
    >
      {children}
    </Dialog>
  );
}
