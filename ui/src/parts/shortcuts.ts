import { useEffect, useRef } from "react";

export type Shortcut = {
  /** Keys as people write them, alternatives with ` | `: `j | ArrowDown`, `Ctrl+Enter`, `?`. */
  keys: string;
  /** What it does, for the sheet. */
  does: string;
  run: () => void;
  /** It also works inside a text field. */
  whileTyping?: boolean;
};

export type ShortcutGroup = { group: string; shortcuts: readonly Shortcut[] };

const groups: { current: ShortcutGroup }[] = [];

/** The keys of everything that is shown now. */
export function knownShortcuts(): ShortcutGroup[] {
  return groups.map(({ current }) => current).filter((group) => group.shortcuts.length > 0);
}

/** The name of the key that was pressed, such as `Ctrl+Enter`, `?` or `j`; empty for AltGr, which types characters. */
export function keyName(event: KeyboardEvent): string {
  if (event.getModifierState("AltGraph") || event.isComposing) return "";
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  parts.push(event.key === " " ? "Space" : withoutCapsLock(event));
  return parts.join("+");
}

/** A letter as it would be without caps lock, so that a forgotten one does not make keys dead. */
function withoutCapsLock(event: KeyboardEvent): string {
  if (event.key.length !== 1 || !event.getModifierState("CapsLock")) return event.key;
  return event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase();
}

/** Whether what was pressed goes into a field as text. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement
  )
    return true;
  return (
    target instanceof HTMLInputElement &&
    !["checkbox", "radio", "button", "submit", "range"].includes(target.type)
  );
}

/** Whether the key does something where the focus is: a button is pressed, a link is followed, a part scrolled. */
export function isTaken(name: string, target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  const pressed = "a[href], button, summary, [role=button], [role=tab]";
  if (name === "Enter") return target.closest(pressed) !== null;
  if (name === "Space") return target.closest(`${pressed}, input`) !== null;
  return /^(Arrow|Page|Home|End)/.test(name) && target.closest("[data-own-keys], [role=tablist]") !== null;
}

/**
 * Keys that work while the component is shown and `active`. They do nothing in dialogs, with AltGr, and while text is
 * typed, unless they say otherwise. What was registered last goes first.
 */
export function useShortcuts(group: string, shortcuts: readonly Shortcut[], active = true): void {
  const entry = useRef<ShortcutGroup>({ group, shortcuts });
  entry.current = { group, shortcuts };
  useEffect(() => {
    if (!active) return;
    groups.push(entry);
    return () => {
      groups.splice(groups.indexOf(entry), 1);
    };
  }, [active]);
}

function onKey(event: KeyboardEvent): void {
  const name = keyName(event);
  if (!name || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const typing = isTyping(event.target);
  if (!typing && isTaken(name, event.target)) return;
  for (const { current } of [...groups].reverse()) {
    const found = current.shortcuts.find(
      (shortcut) => (!typing || shortcut.whileTyping) && shortcut.keys.split(" | ").includes(name),
    );
    if (found) {
      event.preventDefault();
      found.run();
      return;
    }
  }
}

if (typeof window !== "undefined") window.addEventListener("keydown", onKey);
