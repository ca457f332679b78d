import type { Schema } from "../../api/client";
import { type Answer, answerOf, type Item, isComplete, NOTHING } from "./answer";

export type Revealed = Schema["RevealedAnswer"];

/**
 * What became of an item at this desk. `saving` and `skipping` are on their way; `unsaved` could not be sent and is
 * tried again; `refused` was refused by the server, and its answer is kept to be changed or sent again.
 */
export type Phase = "open" | "saving" | "saved" | "unsaved" | "refused" | "skipping" | "skipped";

export type Entry = {
  readonly item: Item;
  readonly answer: Answer;
  readonly phase: Phase;
  /** The reviewer's hold on it ran out: others may be given it, and an answer still counts. */
  readonly lost: boolean;
  /** After a hold ran out the reviewer was given it again, with A and B as before or the other way round. */
  readonly again: "same" | "turned" | null;
  readonly flagged: boolean;
  readonly problem: string | null;
  readonly revealed: readonly Revealed[];
};

export type Desk = {
  readonly entries: readonly Entry[];
  /** The place of the item that is shown; equal to the number of entries where none is. */
  readonly at: number;
  /** Whether the queue had no more items when it was asked last. */
  readonly exhausted: boolean;
  /** Leases whose answer or skip can be taken back, the latest last. */
  readonly done: readonly string[];
};

export const EMPTY: Desk = { entries: [], at: 0, exhausted: false, done: [] };
/** Items that are fetched before they are needed. */
export const AHEAD = 5;
const FEW = 3; // items ahead with which more are asked for: several at once cost less than one after each answer
const MOST = 10; // that a claim may ask for

export type Event =
  | { type: "claimed"; items: readonly Item[]; leases: readonly string[]; asked: Asked; drafts?: Drafts }
  | { type: "answered"; lease: string; answer: Answer }
  | { type: "submitted"; lease: string }
  | { type: "saved"; lease: string; revealed: readonly Revealed[] }
  | { type: "failed"; lease: string; problem: string; again: boolean }
  | { type: "skipping"; lease: string }
  | { type: "skipped"; lease: string }
  | { type: "reopened"; lease: string; item: Item | null }
  | { type: "flagged"; lease: string; on: boolean }
  | { type: "lost"; lease: string }
  | { type: "moved"; by: number }
  | { type: "went"; lease: string }
  | { type: "cleared" };

export type Drafts = Readonly<Record<string, Answer>>;
/** What is asked of the queue: items to hold, and the leases whose items are here. */
export type Asked = { limit: number; known: string[] };

const HELD: readonly Phase[] = ["open", "saving", "unsaved", "refused", "skipping"];

/** The desk after something happened. Pure: what is sent and stored is done elsewhere. */
export function after(desk: Desk, event: Event): Desk {
  switch (event.type) {
    case "claimed":
      return claimed(desk, event);
    case "answered":
      return changed(desk, event.lease, (entry) =>
        editable(entry) ? { ...entry, answer: event.answer } : entry,
      );
    case "submitted": {
      const entry = entryOf(desk, event.lease);
      if (!entry || !editable(entry) || !isComplete(entry.item.kind, entry.answer)) return desk;
      const sent = changed(desk, event.lease, () => ({ ...entry, phase: "saving", problem: null }));
      return onward({ ...sent, done: [...sent.done.filter((one) => one !== event.lease), event.lease] });
    }
    case "saved":
      return changed(desk, event.lease, (entry) =>
        entry.phase === "saving" || entry.phase === "unsaved"
          ? { ...entry, phase: "saved", problem: null, revealed: event.revealed }
          : entry,
      );
    case "failed": {
      const failed = changed(desk, event.lease, (entry) => ({
        ...entry,
        phase: event.again ? "unsaved" : "refused",
        problem: event.problem,
      }));
      return event.again ? failed : { ...failed, done: failed.done.filter((one) => one !== event.lease) };
    }
    case "skipping": {
      const entry = entryOf(desk, event.lease);
      if (!entry || !editable(entry)) return desk;
      const sent = changed(desk, event.lease, () => ({ ...entry, phase: "skipping", problem: null }));
      return onward({ ...sent, done: [...sent.done.filter((one) => one !== event.lease), event.lease] });
    }
    case "skipped":
      return changed(desk, event.lease, (entry) => ({ ...entry, phase: "skipped" }));
    case "reopened":
      return reopened(desk, event.lease, event.item);
    case "flagged":
      return changed(desk, event.lease, (entry) => ({ ...entry, flagged: event.on }));
    case "lost":
      return changed(desk, event.lease, (entry) => ({ ...entry, lost: true }));
    case "moved": {
      const at = Math.max(0, Math.min(desk.entries.length - 1, desk.at + event.by));
      return desk.entries.length === 0 ? desk : { ...desk, at };
    }
    case "went": {
      const at = desk.entries.findIndex((entry) => entry.item.lease_id === event.lease);
      return at < 0 ? desk : { ...desk, at };
    }
    case "cleared":
      return EMPTY;
  }
}

/** The item that is shown. */
export function current(desk: Desk): Entry | undefined {
  return desk.entries[desk.at];
}

export function entryOf(desk: Desk, lease: string): Entry | undefined {
  return desk.entries.find((entry) => entry.item.lease_id === lease);
}

/** Whether its answer may be changed. */
export function editable(entry: Entry): boolean {
  return entry.phase === "open" || entry.phase === "refused" || entry.phase === "unsaved";
}

/** What to ask the queue for, so that enough items are ahead; null: nothing. */
export function wanted(desk: Desk): Asked | null {
  const open = desk.entries.filter(
    (entry, index) => entry.phase === "open" && !entry.lost && index >= desk.at,
  ).length;
  if (open > FEW || desk.exhausted) return null;
  const held = desk.entries.filter((entry) => HELD.includes(entry.phase) && !entry.lost);
  const others = held.filter((entry) => entry.phase !== "open").length;
  const before = held.length - others - open; // open ones that were passed over
  return {
    limit: Math.max(1, Math.min(MOST, AHEAD + 1 + others + before)),
    known: held.map((entry) => entry.item.lease_id),
  };
}

/** How many answers wait to be sent, or were refused. */
export function troubled(desk: Desk): Entry[] {
  return desk.entries.filter((entry) => entry.phase === "unsaved" || entry.phase === "refused");
}

/** How many were judged here. */
export function judged(desk: Desk): number {
  return desk.entries.filter((entry) => entry.phase === "saved" || entry.phase === "saving").length;
}

/** What undo takes back: the latest that was done here; null: what was done before this page was opened. */
export function undoable(desk: Desk): Entry | null {
  const lease = desk.done.at(-1);
  return (lease && entryOf(desk, lease)) || null;
}

function claimed(desk: Desk, event: Extract<Event, { type: "claimed" }>): Desk {
  const there = new Set(desk.entries.map((entry) => entry.item.lease_id));
  const given = event.items.filter((item) => !there.has(item.lease_id));
  const again = new Map(given.map((item) => [item.item_id, item]));
  const kept = new Set(desk.entries.filter(editable).map((entry) => entry.item.item_id));
  const fresh = given.filter((item) => !kept.has(item.item_id));
  const held = new Set(event.leases);
  const asked = new Set(event.asked.known);
  const entries = desk.entries.map((entry) => {
    const { lease_id, item_id } = entry.item;
    const item = editable(entry) ? again.get(item_id) : undefined;
    if (item) return givenAgain(entry, item);
    const gone = entry.phase === "open" && asked.has(lease_id) && !held.has(lease_id);
    return gone && !entry.lost ? { ...entry, lost: true } : entry;
  });
  return {
    ...desk,
    entries: [...entries, ...fresh.map((item) => entered(item, event.drafts?.[item.lease_id]))],
    exhausted: given.length === 0 && event.leases.length < event.asked.limit,
  };
}

function entered(item: Item, draft: Answer | undefined): Entry {
  return {
    item,
    answer: draft ?? answerOf(item.draft) ?? NOTHING,
    phase: "open",
    lost: false,
    again: null,
    flagged: item.flagged,
    problem: null,
    revealed: [],
  };
}

/** The same item under another lease: what was said of it stays, about the same answers wherever they are now. */
function givenAgain(entry: Entry, item: Item): Entry {
  const before = entry.item.answer_texts.join("\0");
  const turned = item.answer_texts.join("\0") !== before;
  const { preference } = entry.answer;
  const other = preference === "first" ? "second" : preference === "second" ? "first" : preference;
  return {
    ...entry,
    item,
    answer: turned ? { ...entry.answer, preference: other } : entry.answer,
    ...{
      phase: "open",
      lost: false,
      again: turned ? "turned" : "same",
      problem: null,
      flagged: item.flagged,
    },
  };
}

/** An answer or a skip was taken back: its item is open again and shown. */
function reopened(desk: Desk, lease: string, item: Item | null): Desk {
  const done = desk.done.filter((one) => one !== lease);
  const there = entryOf(desk, lease);
  if (there) {
    const open = changed(desk, lease, (entry) => ({
      ...entry,
      item: item ?? entry.item,
      phase: "open",
      problem: null,
      lost: false,
      revealed: [],
    }));
    return { ...after(open, { type: "went", lease }), done };
  }
  if (!item) return { ...desk, done };
  const entries = [
    ...desk.entries.slice(0, desk.at),
    entered(item, undefined),
    ...desk.entries.slice(desk.at),
  ];
  return { ...desk, entries, done };
}

/** The next item that is open: one behind the present place, else the first that was passed over. */
function onward(desk: Desk): Desk {
  const open = (entry: Entry) => entry.phase === "open";
  const behind = desk.entries.findIndex((entry, index) => index > desk.at && open(entry));
  if (behind >= 0) return { ...desk, at: behind };
  const passed = desk.entries.findIndex(open);
  return { ...desk, at: passed >= 0 ? passed : desk.entries.length };
}

function changed(desk: Desk, lease: string, how: (entry: Entry) => Entry): Desk {
  let same = true;
  const entries = desk.entries.map((entry) => {
    if (entry.item.lease_id !== lease) return entry;
    const next = how(entry);
    same &&= next === entry;
    return next;
  });
  return same ? desk : { ...desk, entries };
}
