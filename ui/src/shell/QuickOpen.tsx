import { keepPreviousData } from "@tanstack/react-query";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { useLocation } from "wouter";
import { api } from "../api/client";
import { Icon } from "../parts/Icon";
import { useShortcuts } from "../parts/shortcuts";
import { Time } from "../parts/Time";
import { navigation } from "./pages";
import styles from "./QuickOpen.module.css";
import { entriesOf } from "./quickEntries";
import { useMe } from "./session";

const PAUSE = 120; // milliseconds without a key before the server is asked

/** Opens a session, node, theme, cluster or page by its name, its words, or the first digits of its id. Ctrl+K. */
export function QuickOpen() {
  const [open, setOpen] = useState(false);
  useShortcuts("Everywhere", [
    {
      keys: "Ctrl+k",
      does: "Open anything by name, words or id",
      run: () => setOpen(true),
      whileTyping: true,
    },
  ]);
  return (
    <>
      <button
        type="button"
        className={styles.button}
        onClick={() => setOpen(true)}
        aria-keyshortcuts="Control+K"
      >
        <Icon name="search" />
        <span className={styles.word}>Open…</span>
        <kbd>Ctrl K</kbd>
      </button>
      {open && <Box onClose={() => setOpen(false)} />}
    </>
  );
}

function Box({ onClose }: { onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [asked, setAsked] = useState("");
  const [at, setAt] = useState(0);
  const [, go] = useLocation();
  const me = useMe();
  const dialog = useRef<HTMLDialogElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(typed.trim()), PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  const { data, isFetching } = api.useQuery(
    "get",
    "/api/find",
    { params: { query: { q: asked, limit: 6 } } },
    { enabled: asked.length > 1, placeholderData: keepPreviousData },
  );
  const entries = entriesOf(typed, navigation(me?.role === "admin"), asked.length > 1 ? data?.found : []);
  const chosen = Math.min(at, entries.length - 1);
  const waiting = typed.trim() !== asked || (asked.length > 1 && isFetching);
  const entered = useRef(false);
  useEffect(() => {
    list.current?.children[chosen]?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  const enter = (href: string) => {
    onClose();
    go(href);
  };
  // Enter pressed before the server has answered opens what it answers.
  useEffect(() => {
    if (entered.current && !waiting) {
      entered.current = false;
      if (entries[0]) enter(entries[0].href);
    }
  });
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const entry = entries[chosen];
    if (step) setAt((chosen + step + entries.length) % Math.max(1, entries.length));
    else if (event.key === "Enter" && waiting && entry?.kind !== "page") entered.current = true;
    else if (event.key === "Enter" && entry) enter(entry.href);
    else return;
    event.preventDefault();
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does what a click outside does
    <dialog
      ref={dialog}
      className={styles.dialog}
      aria-label="Open anything"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className={styles.field}>
        <Icon name="search" />
        <input
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={entries.length ? `${id}-${chosen}` : undefined}
          aria-label="Name, words, or first digits of an id"
          placeholder="Name, words, or first digits of an id"
          autoComplete="off"
          spellCheck={false}
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setAt(0);
            entered.current = false;
          }}
          onKeyDown={onKey}
        />
      </div>
      <div ref={list} id={`${id}-list`} role="listbox" aria-label="Found" className={styles.list}>
        {entries.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the field above
          <div
            key={`${entry.href} ${entry.kind}`}
            id={`${id}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === chosen}
            className={styles.entry}
            onMouseMove={() => setAt(index)}
            onClick={() => enter(entry.href)}
          >
            <Icon name={entry.icon} />
            <span className={styles.title} dir="auto">
              {entry.title}
            </span>
            {entry.detail && <span className={styles.detail}>{entry.detail}</span>}
            <span className={styles.kind}>{entry.at ? <Time at={entry.at} /> : entry.kind}</span>
          </div>
        ))}
      </div>
      {entries.length === 0 && (
        <p className={styles.nothing} role="status">
          {waiting ? "Searching…" : "No matches."}
        </p>
      )}
    </dialog>
  );
}
