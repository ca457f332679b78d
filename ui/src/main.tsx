import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiProblem } from "./api/problem";
import { App } from "./shell/App";
import { signIn } from "./shell/session";
import { keyOf } from "./shell/signInKey";
import "./shell/theme.css";

const queries = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      // A session that ended while the page was open: who uses it is asked again, which leads to the sign-in.
      const over = error instanceof ApiProblem && error.status === 401;
      if (over && query.queryKey[0] !== "me") void queries.invalidateQueries({ queryKey: ["me"] });
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      // The server's refusals are answers; only what did not arrive is asked for again.
      retry: (count, error) => !(error instanceof ApiProblem && error.status < 500) && count < 2,
    },
  },
});

/** Sign in with the key of the address, if it has one, and take it out of the address before anything else is done. */
async function enter(): Promise<void> {
  const key = keyOf(window.location.hash);
  if (key === null) return;
  const { pathname, search } = window.location;
  window.history.replaceState(null, "", pathname + search);
  try {
    await signIn(key);
  } catch {
    window.history.replaceState(null, "", "/sign-in?refused");
  }
}

const root = document.getElementById("root");
if (root) {
  void enter().then(() =>
    createRoot(root).render(
      <StrictMode>
        <QueryClientProvider client={queries}>
          <App />
        </QueryClientProvider>
      </StrictMode>,
    ),
  );
}
