import { type ReactNode, useEffect } from "react";
import { Link } from "wouter";
import styles from "./Page.module.css";

export type Crumb = { label: string; href: string };

type Props = {
  title: string;
  /** What the window's title says; the title where it is not given. */
  windowTitle?: string;
  crumbs?: readonly Crumb[];
  /** Buttons and links at the right of the title. */
  actions?: ReactNode;
  /** A sentence below the title. */
  about?: ReactNode;
  /** Fills the window's height, so that its parts scroll by themselves. */
  full?: boolean;
  children: ReactNode;
};

/** The frame of a page: where it is, its title, what can be done. */
export function Page({ title, windowTitle, crumbs = [], actions, about, full = false, children }: Props) {
  useEffect(() => {
    document.title = `${windowTitle ?? title} · Regraft`;
  }, [title, windowTitle]);
  return (
    <div className={full ? `${styles.page} ${styles.full}` : styles.page}>
      <div className={styles.head}>
        <div className={styles.names}>
          {crumbs.length > 0 && (
            <nav aria-label="Where this page is" className={styles.crumbs}>
              {crumbs.map((crumb) => (
                <span key={crumb.href}>
                  <Link href={crumb.href}>{crumb.label}</Link>
                  <span aria-hidden="true"> / </span>
                </span>
              ))}
            </nav>
          )}
          <h1>{title}</h1>
          {about && <p className={styles.about}>{about}</p>}
        </div>
        {actions && <div className={styles.actions}>{actions}</div>}
      </div>
      {children}
    </div>
  );
}
