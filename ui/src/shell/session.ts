import { useQuery } from "@tanstack/react-query";
import { setCsrf } from "../api/client";
import { problemOf } from "../api/problem";

/** Who uses the page. A viewer reads, a reviewer also judges, an admin also changes the rest. */
export type Me = {
  name: string | null;
  role: "viewer" | "reviewer" | "admin";
  /** The tenant whose data are shown; null: all. */
  scope: string | null;
  csrf: string;
};

async function askWho(): Promise<Me> {
  const answer = await fetch("/api/me", { credentials: "same-origin" });
  if (!answer.ok) throw await problemOf(answer);
  const me = (await answer.json()) as Me;
  setCsrf(me.csrf);
  return me;
}

/** Who uses the page; undefined while it is asked, or where a sign-in is needed. */
export function useMe(): Me | undefined {
  return useQuery({ queryKey: ["me"], queryFn: askWho, staleTime: 60_000 }).data;
}

/** Whether whoever uses the page may change what is not a judgement. */
export function useIsAdmin(): boolean {
  return useMe()?.role === "admin";
}
