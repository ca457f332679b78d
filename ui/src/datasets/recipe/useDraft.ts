import { useEffect, useState } from "react";

const KEY = "regraft.recipe.";

/** A text that survives a reload until it is dropped. `text` is what it was made from. */
export function useDraft(name: string, text: string | undefined) {
  const [draft, setDraft] = useState<string | null>(() => localStorage.getItem(KEY + name));
  useEffect(() => setDraft(localStorage.getItem(KEY + name)), [name]);
  const keep = (next: string) => {
    if (next === text) return drop();
    localStorage.setItem(KEY + name, next);
    setDraft(next);
  };
  const drop = () => {
    localStorage.removeItem(KEY + name);
    setDraft(null);
  };
  return { text: draft ?? text, isDraft: draft !== null && draft !== text, keep, drop };
}
