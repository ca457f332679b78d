import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { Empty } from "../../parts/Empty";
import { Failed } from "../../parts/Failed";
import { Loading } from "../../parts/Loading";
import { Page } from "../../parts/Page";
import { useWho } from "../../shell/session";
import styles from "./admin.module.css";

const PLACES = [
  { path: "/admin", label: "Keys" },
  { path: "/admin/tokens", label: "Tokens" },
  { path: "/admin/upstreams", label: "Model servers" },
  { path: "/admin/quarantine", label: "Quarantine" },
] as const;

type Props = { title: string; about: ReactNode; actions?: ReactNode; children: () => ReactNode };

/** The frame of the pages for administrators; others are told what they need. */
export function AdminPage({ title, about, actions, children }: Props) {
  const [location] = useLocation();
  const { data: me, error, refetch } = useWho();
  const admin = me?.role === "admin";
  return (
    <Page title={title} about={about} actions={admin && actions}>
      <nav aria-label="Administration" className={styles.places}>
        {PLACES.map(({ path, label }) => (
          <Link key={path} href={path} aria-current={location === path ? "page" : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      {error && !me ? (
        <Failed error={error} retry={() => void refetch()} />
      ) : !me ? (
        <Loading what="rights" />
      ) : admin ? (
        children()
      ) : (
        <Empty title="This is for administrators">
          <p>
            <Link href="/sign-in?next=/admin">Sign in</Link> with a token of{" "}
            <code>regraft web-token create NAME --role admin</code>, or run <code>regraft open</code>.
          </p>
        </Empty>
      )}
    </Page>
  );
}
