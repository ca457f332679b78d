import { Link } from "wouter";
import { ApiProblem, sentence } from "../api/problem";
import { Button } from "./Button";
import styles from "./states.module.css";

/** What went wrong, in words, and a way to try again. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const signIn = error instanceof ApiProblem && error.status === 401;
  return (
    <div role="alert" className={`${styles.empty} ${styles.failed}`}>
      <h2>{signIn ? "Sign in to see this" : "This could not be shown"}</h2>
      <p className={styles.text}>{sentence(error)}</p>
      {signIn ? (
        <Link href={`/sign-in?next=${encodeURIComponent(window.location.pathname + window.location.search)}`}>
          Sign in
        </Link>
      ) : (
        retry && <Button onClick={retry}>Try again</Button>
      )}
    </div>
  );
}
