/** What keys do at the desk. Names are kept in the browser: an action that is renamed loses its keys. */
export type Action =
  | "next"
  | "previous"
  | "fieldUp"
  | "fieldDown"
  | "first"
  | "second"
  | "equal"
  | "bothBad"
  | "comment"
  | "skip"
  | "flag"
  | "undo"
  | "diff"
  | "path"
  | "find"
  | "guidelines"
  | "reveal"
  | "scrollDown"
  | "scrollUp"
  | "submit"
  | "leave";

export type Keys = Readonly<Record<Action, readonly string[]>>;

export const DEFAULT_KEYS: Keys = {
  first: ["a"],
  second: ["b"],
  equal: ["e"],
  bothBad: ["x"],
  submit: ["Ctrl+Enter"],
  next: ["j", "ArrowRight"],
  previous: ["k", "ArrowLeft"],
  fieldDown: ["ArrowDown"],
  fieldUp: ["ArrowUp"],
  comment: ["c"],
  skip: ["s"],
  flag: ["f"],
  undo: ["u"],
  diff: ["d"],
  path: ["o"],
  find: ["/"],
  guidelines: ["g"],
  reveal: ["r"],
  scrollDown: ["PageDown"],
  scrollUp: ["PageUp"],
  leave: ["Escape"],
};

export const DOES: Readonly<Record<Action, string>> = {
  first: "A is better",
  second: "B is better",
  equal: "Equal",
  bothBad: "Both bad",
  submit: "Submit and show the next item, also while typing",
  next: "Next item",
  previous: "Previous item",
  fieldDown: "Next field",
  fieldUp: "Previous field",
  comment: "Write a comment",
  skip: "Skip, with a reason",
  flag: "Flag for others, or remove the flag",
  undo: "Undo the latest answer or skip",
  diff: "Compare word by word",
  path: "Show the path to the root, or only the last question",
  find: "Find in this item",
  guidelines: "Show or hide the guidelines",
  reveal: "Show the models, after judging",
  scrollDown: "Scroll down",
  scrollUp: "Scroll up",
  leave: "Leave a field",
};

export const ACTIONS = Object.keys(DEFAULT_KEYS) as Action[];
/** Keys that always mean the same: options by number, and the sheet. */
const RESERVED = new Set(["?", "Tab", "Enter", "Space", ...Array.from({ length: 9 }, (_, i) => `${i + 1}`)]);
/** These can be pressed while text is written, so they need a modifier or be no character. */
const WHILE_TYPING: readonly Action[] = ["submit", "leave"];

/** Why a key cannot be given to an action, in words; null: it can. */
export function refusal(keys: Keys, action: Action, key: string): string | null {
  if (key === "") return "This key types a character with AltGr, or is not known.";
  if (RESERVED.has(key)) return `${key} cannot be changed.`;
  if (WHILE_TYPING.includes(action) && key.length === 1)
    return `${key} would be written into the comment: take one with Ctrl, or a key that writes nothing.`;
  const other = ACTIONS.find((one) => one !== action && keys[one].includes(key));
  return other ? `${key} is for “${DOES[other]}” already.` : null;
}

/** The keys with another one for an action, which loses those that it had. Throws where it is refused. */
export function remapped(keys: Keys, action: Action, key: string): Keys {
  const why = refusal(keys, action, key);
  if (why) throw new Error(why);
  return { ...keys, [action]: [key] };
}

/** What is kept of keys: those that are not the usual ones. */
export function toStored(keys: Keys): string {
  const changed = ACTIONS.filter((action) => keys[action].join(" ") !== DEFAULT_KEYS[action].join(" "));
  return JSON.stringify(Object.fromEntries(changed.map((action) => [action, keys[action]])));
}

/** The keys that were kept. What cannot be read or contradicts itself is left out. */
export function fromStored(text: string | null): Keys {
  let stored: unknown;
  try {
    stored = JSON.parse(text ?? "{}");
  } catch {
    return DEFAULT_KEYS;
  }
  if (typeof stored !== "object" || stored === null) return DEFAULT_KEYS;
  let keys: Keys = DEFAULT_KEYS;
  const wanted = new Map(Object.entries(stored));
  // Two actions may have changed places, so what is free counts after all of them are taken from their usual ones.
  const moved = ACTIONS.filter((action) => wanted.has(action));
  keys = { ...keys, ...Object.fromEntries(moved.map((action) => [action, []])) };
  for (const action of moved) {
    const [key] = Array.isArray(wanted.get(action)) ? (wanted.get(action) as unknown[]) : [];
    const usual = DEFAULT_KEYS[action].filter((one) => refusal(keys, action, one) === null);
    const good = typeof key === "string" && refusal(keys, action, key) === null;
    keys = { ...keys, [action]: good ? [key] : usual };
  }
  return keys;
}
