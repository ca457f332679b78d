import { useSyncExternalStore } from "react";

/** Whether the window is not wider than so many pixels; without a number, as narrow as a phone's. */
export function useNarrow(width = 760): boolean {
  const query = `(max-width: ${width}px)`;
  return useSyncExternalStore(
    (changed) => {
      const media = window.matchMedia(query);
      media.addEventListener("change", changed);
      return () => media.removeEventListener("change", changed);
    },
    () => window.matchMedia(query).matches,
  );
}
