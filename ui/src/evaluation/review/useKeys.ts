import { useCallback, useState } from "react";
import { type Shortcut, useShortcuts } from "../../parts/shortcuts";
import { type Action, DOES, fromStored, type Keys, toStored } from "./keymap";
import { nameOf } from "./storage";

/** The keys of a reviewer, kept in the browser. */
export function useKeys(reviewer: string): [Keys, (keys: Keys) => void] {
  const [keys, setKeys] = useState<Keys>(() => fromStored(localStorage.getItem(nameOf(reviewer, "keys"))));
  const change = useCallback(
    (next: Keys) => {
      setKeys(next);
      localStorage.setItem(nameOf(reviewer, "keys"), toStored(next));
    },
    [reviewer],
  );
  return [keys, change];
}

export type Doing = Partial<Record<Action, () => void>> & { option?: (number: number) => void };

/** Binds keys to what they do. Those of actions that mean nothing now are not in the sheet either. */
export function useDeskKeys(keys: Keys, doing: Doing, options: number, active: boolean): void {
  const shortcuts: Shortcut[] = (Object.keys(keys) as Action[]).flatMap((action) => {
    const run = doing[action];
    if (!run) return [];
    const whileTyping = action === "submit" || action === "leave";
    return [{ keys: keys[action].join(" | "), does: DOES[action], run, whileTyping }];
  });
  for (let number = 1; doing.option && number <= Math.min(9, options); number += 1) {
    const option = doing.option;
    shortcuts.push({ keys: `${number}`, does: `Option ${number} of the field`, run: () => option(number) });
  }
  useShortcuts("Review", shortcuts, active);
}
