import { useState } from "react";
import { Link, useLocation } from "wouter";
import { sentence } from "../api/problem";
import { Icon } from "../parts/Icon";
import styles from "./Identity.module.css";
import { useMe, useSession } from "./session";

/** Who uses the page, and a way to sign in or out. */
export function Identity() {
  const me = useMe();
  const { leave } = useSession();
  const [location, go] = useLocation();
  const [problem, setProblem] = useState("");
  if (!me) return null;
  if (me.name === null) {
    if (location === "/sign-in") return null;
    const next = encodeURIComponent(window.location.pathname + window.location.search);
    return (
      <Link href={`/sign-in?next=${next}`} className={styles.act} title="Reading only">
        <Icon name="user" />
        Sign in
      </Link>
    );
  }
  const signOut = async () => {
    setProblem("");
    try {
      await leave();
      go("/sign-in");
    } catch (error) {
      setProblem(sentence(error));
    }
  };
  const tenant = me.scope === null ? "" : `, ${me.scope}`;
  return (
    <div className={styles.who} title={`${me.name}: ${me.role}${tenant}`}>
      <Icon name="user" />
      <span className={styles.name}>
        <span className={styles.person}>{me.name}</span>
        <span className={styles.role}>
          {me.role}
          {tenant}
        </span>
      </span>
      {me.signed_in && (
        <button type="button" className={styles.act} onClick={() => void signOut()}>
          Sign out
        </button>
      )}
      {problem && (
        <span role="alert" className={styles.problem}>
          {problem}
        </span>
      )}
    </div>
  );
}
