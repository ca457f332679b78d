import { startTransition, useCallback, useEffect, useReducer, useRef, useState } from "react";
import { client } from "../../api/client";
import { ApiProblem, sentence } from "../../api/problem";
import { type Answer, type Item, isEmpty, submissionOf } from "./answer";
import {
  AHEAD,
  type Asked,
  after,
  current,
  type Desk,
  EMPTY,
  editable,
  entryOf,
  undoable,
  wanted,
} from "./desk";
import { added, mayWorkLater, waitBefore, without } from "./outbox";
import { type Kept, keep, load } from "./storage";
import { useWatches } from "./useWatches";

export type Filter = {
  kind: "pair" | "unit";
  theme?: string;
  session?: string;
  cluster?: string;
  category?: string;
};
export type Skip = "unclear" | "too_long" | "not_qualified" | "broken" | "sensitive" | "other";

const DRAFT_PAUSE = 1500; // milliseconds without a change before a draft goes to the server
const RENEW_EVERY = 60_000;
const SOON = 300_000; // an item fetched ahead is held for longer when its hold ends within so much
const ASK_AGAIN = 20_000; // whether a queue that was empty has something

/** A reviewer's desk: items of the queue, fetched ahead, and what is said of them. Everything shows at once and is sent after. */
export function useDesk(reviewer: string, filter: Filter) {
  const [desk, dispatch] = useReducer(after, EMPTY);
  const [claimError, setClaimError] = useState<unknown>(null);
  const [notice, setNotice] = useState("");
  const [saved, setSaved] = useState(0);
  const latest = useRef<Desk>(desk);
  latest.current = desk;
  const kept = useRef<Kept>(load(localStorage, reviewer, Date.now()));
  const chains = useRef(new Map<string, Promise<void>>());
  const alive = useRef(true);
  const claiming = useRef(false);
  const expires = useRef(new Map<string, number>());
  const shown = current(desk)?.item.lease_id;
  const { seconds, startFrom } = useWatches(shown);

  const store = useCallback(
    (change: Partial<Kept>) => {
      kept.current = { ...kept.current, ...change };
      if (!keep(localStorage, reviewer, kept.current))
        setNotice(
          "The browser has no room for drafts: an answer that is not saved yet would not survive a reload.",
        );
    },
    [reviewer],
  );
  const forget = useCallback(
    (lease: string) => {
      const { [lease]: _, ...drafts } = kept.current.drafts;
      store({ drafts, outbox: without(kept.current.outbox, lease) });
    },
    [store],
  );

  /** What is sent about one item is sent in order. */
  const inOrder = useCallback((lease: string, job: () => Promise<void>) => {
    const next = (chains.current.get(lease) ?? Promise.resolve()).then(job, job);
    chains.current.set(lease, next);
    return next;
  }, []);

  /** Send the unsent answer of a lease until it arrives or is refused. */
  const deliver = useCallback(
    async (lease: string, attempts = Number.POSITIVE_INFINITY) => {
      for (let attempt = 0; attempt < attempts && alive.current; attempt += 1) {
        const unsent = kept.current.outbox.find((one) => one.lease === lease);
        if (!unsent) return;
        try {
          const { data } = await client.POST("/api/review/leases/{lease_id}/submit", {
            params: { path: { lease_id: lease } },
            body: unsent.body,
          });
          if (kept.current.outbox.includes(unsent)) forget(lease);
          dispatch({ type: "saved", lease, revealed: data?.revealed ?? [] });
          setSaved((count) => count + 1);
          return;
        } catch (error) {
          const again = mayWorkLater(error);
          if (!again) store({ outbox: without(kept.current.outbox, lease) });
          if (kept.current.outbox.includes(unsent) || !again)
            dispatch({ type: "failed", lease, problem: sentence(error), again });
          if (!again) return;
          await pause(waitBefore(attempt));
        }
      }
    },
    [forget, store],
  );

  const claim = useCallback(
    async (asked: Asked) => {
      if (claiming.current) return;
      claiming.current = true;
      try {
        const { data } = await client.POST("/api/review/claim", { body: { ...filter, ...asked } });
        if (!data || !alive.current) return;
        for (const item of data.items) {
          const before = latest.current.entries.find((entry) => entry.item.item_id === item.item_id)?.item
            .lease_id;
          const draft = before === undefined ? undefined : kept.current.drafts[before];
          if (before !== undefined) startFrom(item.lease_id, seconds(before));
          if (draft) store({ drafts: { ...kept.current.drafts, [item.lease_id]: draft } });
        }
        const drafts = Object.fromEntries(
          Object.entries(kept.current.drafts).map(([lease, draft]) => [lease, draft.answer]),
        );
        for (const item of data.items) {
          expires.current.set(item.lease_id, Date.parse(item.expires_at));
          startFrom(item.lease_id, kept.current.drafts[item.lease_id]?.seconds ?? item.draft?.seconds ?? 0);
        }
        setClaimError(null);
        startTransition(() =>
          dispatch({ type: "claimed", items: data.items, leases: data.leases, asked, drafts }),
        );
      } catch (error) {
        setClaimError(error);
      } finally {
        claiming.current = false;
      }
    },
    [filter, seconds, startFrom, store],
  );

  // Answers of before a reload are sent first, so that their items are not given out again.
  const [ready, setReady] = useState(false);
  useEffect(() => {
    alive.current = true;
    const unsent = kept.current.outbox.map((one) => one.lease);
    void Promise.all(unsent.map((lease) => inOrder(lease, () => deliver(lease, 1)))).then(() => {
      if (!alive.current) return;
      setReady(true);
      for (const lease of unsent) void inOrder(lease, () => deliver(lease));
    });
    return () => {
      alive.current = false;
      release(latest.current);
    };
  }, [deliver, inOrder]);

  const before = useRef(filter);
  useEffect(() => {
    if (before.current === filter) return;
    before.current = filter;
    release(latest.current);
    dispatch({ type: "cleared" });
  }, [filter]);

  const asked = ready ? wanted(desk) : null;
  const askedFor = asked ? JSON.stringify(asked) : "";
  useEffect(() => {
    if (!askedFor || claimError) return;
    void claim(JSON.parse(askedFor) as Asked);
  }, [askedFor, claim, claimError]);

  const refresh = useCallback(() => {
    setClaimError(null);
    const ask = wanted({ ...latest.current, exhausted: false });
    void claim(ask ?? { limit: AHEAD + 1, known: latest.current.entries.map((one) => one.item.lease_id) });
  }, [claim]);
  useEffect(() => {
    if (!desk.exhausted && !claimError) return;
    const timer = setInterval(() => document.visibilityState === "visible" && refresh(), ASK_AGAIN);
    return () => clearInterval(timer);
  }, [desk.exhausted, claimError, refresh]);

  const renew = useCallback(async (lease: string, answer: Answer | null, time: number) => {
    const draft =
      answer && !isEmpty(answer) ? { ...answer, categories: [...answer.categories], seconds: time } : null;
    try {
      const { data } = await client.POST("/api/review/leases/{lease_id}/renew", {
        params: { path: { lease_id: lease } },
        body: { draft },
      });
      if (data?.expires_at) expires.current.set(lease, Date.parse(data.expires_at));
    } catch (error) {
      const entry = entryOf(latest.current, lease);
      if (error instanceof ApiProblem && [404, 409].includes(error.status) && entry?.phase === "open")
        dispatch({ type: "lost", lease });
    }
  }, []);

  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible") return;
      for (const entry of latest.current.entries) {
        const { lease_id } = entry.item;
        if (entry.phase !== "open" || entry.lost) continue;
        const ends = expires.current.get(lease_id) ?? 0;
        if (lease_id === current(latest.current)?.item.lease_id)
          void renew(lease_id, entry.answer, seconds(lease_id));
        else if (ends - Date.now() < SOON) void renew(lease_id, entry.answer, seconds(lease_id));
      }
    }, RENEW_EVERY);
    return () => clearInterval(timer);
  }, [renew, seconds]);

  const timers = useRef(new Map<string, ReturnType<typeof setTimeout>>());
  const answer = useCallback(
    (lease: string, said: Answer) => {
      const entry = entryOf(latest.current, lease);
      if (!entry || !editable(entry)) return;
      dispatch({ type: "answered", lease, answer: said });
      latest.current = after(latest.current, { type: "answered", lease, answer: said });
      store({
        drafts: {
          ...kept.current.drafts,
          [lease]: { answer: said, seconds: seconds(lease), at: Date.now() },
        },
      });
      clearTimeout(timers.current.get(lease));
      timers.current.set(
        lease,
        setTimeout(() => {
          const now = entryOf(latest.current, lease);
          if (now?.phase === "open" && !now.lost) void renew(lease, now.answer, seconds(lease));
        }, DRAFT_PAUSE),
      );
    },
    [renew, seconds, store],
  );

  const submit = useCallback(
    (lease: string) => {
      const next = after(latest.current, { type: "submitted", lease });
      const entry = entryOf(next, lease);
      if (next === latest.current || !entry) return false;
      latest.current = next;
      dispatch({ type: "submitted", lease });
      clearTimeout(timers.current.get(lease));
      const body = submissionOf(entry.item.kind, entry.answer, seconds(lease));
      store({ outbox: added(kept.current.outbox, { lease, body }) });
      void inOrder(lease, () => deliver(lease));
      return true;
    },
    [deliver, inOrder, seconds, store],
  );

  const skip = useCallback(
    (lease: string, reason: Skip, note: string) => {
      dispatch({ type: "skipping", lease });
      void inOrder(lease, async () => {
        try {
          await client.POST("/api/review/leases/{lease_id}/skip", {
            params: { path: { lease_id: lease } },
            body: { reason, note },
          });
          forget(lease);
          dispatch({ type: "skipped", lease });
          setSaved((count) => count + 1);
        } catch (error) {
          dispatch({ type: "failed", lease, problem: `Not skipped. ${sentence(error)}`, again: false });
        }
      });
    },
    [forget, inOrder],
  );

  const flag = useCallback(
    (lease: string, on: boolean, note = "") => {
      dispatch({ type: "flagged", lease, on });
      void inOrder(lease, async () => {
        try {
          await client.POST("/api/review/leases/{lease_id}/flag", {
            params: { path: { lease_id: lease } },
            body: { on, note },
          });
        } catch (error) {
          dispatch({ type: "flagged", lease, on: !on });
          setNotice(`The flag was not changed. ${sentence(error)}`);
        }
      });
    },
    [inOrder],
  );

  const takeBack = useCallback(
    (lease: string) => {
      const wasUnsent = kept.current.outbox.some((one) => one.lease === lease);
      store({ outbox: without(kept.current.outbox, lease) });
      const phase = entryOf(latest.current, lease)?.phase;
      dispatch({ type: "reopened", lease, item: null });
      if (phase === "unsaved" && wasUnsent) return;
      void inOrder(lease, async () => {
        try {
          await client.POST("/api/review/undo", { body: { lease_id: lease } });
          setSaved((count) => count + 1);
        } catch (error) {
          if (!(error instanceof ApiProblem && error.status === 404))
            setNotice(`The undo failed. ${sentence(error)} Answering again corrects the answer.`);
        }
      });
    },
    [inOrder, store],
  );

  const undo = useCallback(async () => {
    const entry = undoable(latest.current);
    if (entry) return takeBack(entry.item.lease_id);
    try {
      const { data } = await client.POST("/api/review/undo", { body: { lease_id: null } });
      if (data?.item) {
        expires.current.set(data.item.lease_id, Date.parse(data.item.expires_at));
        dispatch({ type: "reopened", lease: data.item.lease_id, item: data.item as Item });
      } else setNotice("The correction was undone: the earlier answer counts again.");
      setSaved((count) => count + 1);
    } catch (error) {
      setNotice(sentence(error));
    }
  }, [takeBack]);

  const retry = useCallback(() => {
    for (const { lease } of kept.current.outbox) void deliver(lease, 1);
  }, [deliver]);
  useEffect(() => {
    window.addEventListener("online", retry);
    return () => window.removeEventListener("online", retry);
  }, [retry]);

  const move = useCallback((by: number) => dispatch({ type: "moved", by }), []);
  const go = useCallback((lease: string) => dispatch({ type: "went", lease }), []);

  return {
    ...{ desk, claimError, notice, setNotice, saved, ready },
    ...{ answer, submit, skip, flag, undo, takeBack, move, go, retry, refresh, seconds },
  };
}

/** Items that were fetched ahead and not answered go back to the others. */
function release(desk: Desk): void {
  for (const [index, entry] of desk.entries.entries()) {
    if (entry.phase !== "open" || entry.lost || index === desk.at || !isEmpty(entry.answer)) continue;
    client
      .POST("/api/review/leases/{lease_id}/release", { params: { path: { lease_id: entry.item.lease_id } } })
      .catch(() => undefined); // it runs out by itself
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
