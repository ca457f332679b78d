import { useCallback, useEffect, useRef, useState } from "react";
import { client } from "../../api/client";
import { type Connection, useEvents } from "../../api/events";
import { type Call, withCalls } from "./calls";

const FIRST = 200;

export type Feed = {
  calls: readonly Call[];
  /** How many arrived while it was paused. */
  waiting: number;
  loaded: boolean;
  connection: Connection;
  error: unknown;
};

/** The latest calls, and each further one as it is stored. While `paused`, what arrives waits. */
export function useCalls(paused: boolean): Feed {
  const [calls, setCalls] = useState<readonly Call[]>([]);
  const [address, setAddress] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [waiting, setWaiting] = useState(0);
  const held = useRef<Call[]>([]);
  const stopped = useRef(paused);

  useEffect(() => {
    let gone = false;
    client
      .GET("/api/live/recent", { params: { query: { limit: FIRST } } })
      .then(({ data }) => {
        if (gone || !data) return;
        setCalls(withCalls([], data.calls));
        setAddress(`/api/live/events?after=${data.last}`);
      })
      .catch((problem: unknown) => !gone && setError(problem));
    return () => {
      gone = true;
    };
  }, []);

  const show = useCallback(() => {
    const fresh = held.current;
    held.current = [];
    setWaiting(0);
    if (fresh.length > 0) setCalls((kept) => withCalls(kept, fresh));
  }, []);
  useEffect(() => {
    stopped.current = paused;
    if (!paused) show();
  }, [paused, show]);

  const connection = useEvents(address, {
    call: (call: Call) => {
      held.current.push(call);
      if (stopped.current) setWaiting(held.current.length);
      else if (held.current.length === 1) requestAnimationFrame(() => !stopped.current && show());
    },
    failure: (said: { message: string }) => setError(new Error(said.message)),
  });
  return { calls, waiting, loaded: address !== null, connection, error };
}
