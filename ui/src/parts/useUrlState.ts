import { useCallback } from "react";
import { useSearchParams } from "wouter";

/**
 * State that lives in the address's query string, so that a link shows the same. An empty value takes the name out.
 * Setting replaces the entry of the history unless `push`.
 */
export function useUrlState(
  name: string,
  fallback = "",
): [string, (value: string, how?: { push: boolean }) => void] {
  const [search, setSearch] = useSearchParams();
  const set = useCallback(
    (value: string, how = { push: false }) => {
      setSearch(
        (old) => {
          const next = new URLSearchParams(old);
          if (value === "" || value === fallback) next.delete(name);
          else next.set(name, value);
          return next;
        },
        { replace: !how.push },
      );
    },
    [name, fallback, setSearch],
  );
  return [search.get(name) ?? fallback, set];
}
