import { useEffect, useRef, useState } from "react";

export type Connection = "connecting" | "open" | "lost";

/**
 * Server-sent events of an address, parsed as JSON; null listens to nothing. The browser connects again by itself
 * after a loss, with `Last-Event-ID`; after an event named `end` nothing more is asked for.
 */
export function useEvents(url: string | null, handlers: Record<string, (data: never) => void>): Connection {
  const [connection, setConnection] = useState<Connection>("connecting");
  const current = useRef(handlers);
  current.current = handlers;
  const names = Object.keys(handlers).sort().join(" ");
  useEffect(() => {
    if (url === null) return;
    setConnection("connecting");
    const source = new EventSource(url);
    source.onopen = () => setConnection("open");
    source.onerror = () => setConnection("lost");
    for (const name of new Set([...names.split(" "), "end"])) {
      source.addEventListener(name, (event) => {
        if (name === "end") source.close();
        current.current[name]?.(JSON.parse((event as MessageEvent<string>).data) as never);
      });
    }
    return () => source.close();
  }, [url, names]);
  return connection;
}
