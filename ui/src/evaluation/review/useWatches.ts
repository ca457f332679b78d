import { useCallback, useEffect, useRef } from "react";
import { elapsed, paused, started, stopped, touched, type Watch } from "./timing";

const INPUTS = ["keydown", "pointerdown", "pointermove", "wheel", "scroll"] as const;

/** How long each item was looked at, in seconds. Only that of `shown` runs, and only while the page is visible. */
export function useWatches(shown: string | undefined) {
  const watches = useRef(new Map<string, Watch>());
  const visit = useRef<Watch>(stopped());

  useEffect(() => {
    const change = (how: (watch: Watch, now: number) => Watch) => {
      const now = performance.now();
      if (!shown) return;
      watches.current.set(shown, how(watches.current.get(shown) ?? stopped(), now));
      visit.current = how(visit.current, now);
    };
    const onVisible = () => change(document.visibilityState === "visible" ? started : paused);
    const onInput = () => change(touched);
    onVisible();
    document.addEventListener("visibilitychange", onVisible);
    for (const name of INPUTS) document.addEventListener(name, onInput, { capture: true, passive: true });
    return () => {
      change(paused);
      document.removeEventListener("visibilitychange", onVisible);
      for (const name of INPUTS) document.removeEventListener(name, onInput, { capture: true });
    };
  }, [shown]);

  const seconds = useCallback((lease?: string) => {
    const watch = lease === undefined ? visit.current : watches.current.get(lease);
    return watch ? elapsed(watch, performance.now()) / 1000 : 0;
  }, []);
  const startFrom = useCallback((lease: string, already: number) => {
    if (!watches.current.has(lease)) watches.current.set(lease, stopped(already * 1000));
  }, []);
  return { seconds, startFrom };
}
