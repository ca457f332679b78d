import { useState } from "react";
import { Dialog } from "../parts/Dialog";
import { knownShortcuts, useShortcuts } from "../parts/shortcuts";
import styles from "./ShortcutSheet.module.css";

/** All keys of the page that is shown, on `?`. */
export function ShortcutSheet() {
  const [open, setOpen] = useState(false);
  useShortcuts("Everywhere", [{ keys: "?", does: "Show the keys", run: () => setOpen(true) }]);
  return (
    <Dialog title="Keys" open={open} onClose={() => setOpen(false)}>
      {open &&
        knownShortcuts().map(({ group, shortcuts }) => (
          <section key={group} className={styles.group}>
            <h3>{group}</h3>
            <dl>
              {shortcuts.map(({ keys, does }) => (
                <div key={keys}>
                  <dt>
                    {keys.split(" | ").map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dt>
                  <dd>{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
    </Dialog>
  );
}
