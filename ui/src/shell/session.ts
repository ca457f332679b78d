import { useQuery, useQueryClient } from "@tanstack/react-query";
import { setCsrf, writeHeaders } from "../api/client";
import { ApiProblem, problemOf } from "../api/problem";

/** Who uses the page. A viewer reads, a reviewer also judges, an admin also changes the rest. */
export type Me = {
  name: string | null;
  role: "viewer" | "reviewer" | "admin";
  /** The tenant whose data are shown; null: all. */
  scope: string | null;
  /** Whether this browser holds a session; else it reads without one, or sends a token. */
  signed_in: boolean;
  csrf: string;
};

async function askWho(): Promise<Me> {
  const answer = await fetch("/api/me", { credentials: "same-origin" });
  if (!answer.ok) throw await problemOf(answer);
  const me = (await answer.json()) as Me;
  setCsrf(me.csrf);
  return me;
}

export function useWho() {
  return useQuery({ queryKey: ["me"], queryFn: askWho, staleTime: 60_000 });
}

/** Who uses the page; undefined while it is asked, or where a sign-in is needed. */
export function useMe(): Me | undefined {
  return useWho().data;
}

/** Whether nothing can be seen without a sign-in. */
export function useMustSignIn(): boolean {
  const { error } = useWho();
  return error instanceof ApiProblem && error.status === 401;
}

/** Whether the user may change anything other than judgements. */
export function useIsAdmin(): boolean {
  return useMe()?.role === "admin";
}

async function post(path: string, headers: Record<string, string>, body: unknown): Promise<void> {
  const answer = await fetch(path, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw await problemOf(answer);
}

/** Sign this browser in with a token. Throws ApiProblem. */
export async function signIn(token: string): Promise<void> {
  await post("/api/sign-in", { "X-Regraft-Csrf": "sign-in" }, { token: token.trim() });
}

/** Sign in or out, and then ask for everything anew: another person sees other things. */
export function useSession(): { enter: (token: string) => Promise<void>; leave: () => Promise<void> } {
  const queries = useQueryClient();
  return {
    enter: async (token) => {
      await signIn(token);
      await queries.resetQueries();
    },
    leave: async () => {
      await post("/api/sign-out", writeHeaders(), {});
      setCsrf("");
      await queries.resetQueries();
    },
  };
}
