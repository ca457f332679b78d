/** Milliseconds without a key, a click or a scroll after which the reviewer counts as idle. */
export const IDLE = 60_000;

/** Time that somebody looked at an item: it stops while the page is hidden, and some time after the last input. */
export type Watch = {
  /** Milliseconds that were counted. */
  readonly counted: number;
  /** Since when it runs; null: it is stopped. */
  readonly since: number | null;
  readonly lastInput: number;
};

export function stopped(counted = 0): Watch {
  return { counted, since: null, lastInput: 0 };
}

export function started(watch: Watch, now: number): Watch {
  return watch.since === null ? { counted: watch.counted, since: now, lastInput: now } : watch;
}

export function paused(watch: Watch, now: number): Watch {
  return { counted: elapsed(watch, now), since: null, lastInput: watch.lastInput };
}

/** Something was pressed or moved: time after a pause without input counts from here on. */
export function touched(watch: Watch, now: number): Watch {
  if (watch.since === null) return watch;
  if (now - watch.lastInput <= IDLE) return { ...watch, lastInput: now };
  return { counted: elapsed(watch, now), since: now, lastInput: now };
}

/** Milliseconds up to now. */
export function elapsed(watch: Watch, now: number): number {
  if (watch.since === null) return watch.counted;
  return watch.counted + Math.max(0, Math.min(now, watch.lastInput + IDLE) - watch.since);
}

/** Items an hour, from how many were judged in how many milliseconds; null where that says too little. */
export function pace(judged: number, milliseconds: number): number | null {
  return judged < 3 || milliseconds < 1000 ? null : Math.round((judged * 3_600_000) / milliseconds);
}
