import { useEffect, useRef, useState } from "react";
import { Icon } from "../../parts/Icon";
import { useShortcuts } from "../../parts/shortcuts";
import styles from "./list.module.css";

const PAUSE = 250; // milliseconds without a key before it is searched

/** A field for words, which are searched for when typing pauses. `/` goes to it, Escape leaves it. */
export function SearchBox({ text, onSearch }: { text: string; onSearch: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const input = useRef<HTMLInputElement>(null);
  const search = useRef(onSearch);
  search.current = onSearch;
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (typed.trim() === text) return;
    const timer = setTimeout(() => search.current(typed.trim()), PAUSE);
    return () => clearTimeout(timer);
  }, [typed, text]);
  useShortcuts("Search", [
    { keys: "/", does: "Search in questions and answers", run: () => input.current?.focus() },
  ]);
  return (
    <search className={styles.search}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onSearch(typed.trim());
        }}
      >
        <Icon name="search" />
        <input
          ref={input}
          type="search"
          aria-label="Search in questions and answers"
          placeholder="Search in questions and answers"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && input.current?.blur()}
        />
        <kbd>/</kbd>
      </form>
    </search>
  );
}
