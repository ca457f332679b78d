import { Link, useLocation } from "wouter";
import { Icon } from "../parts/Icon";
import styles from "./Navigation.module.css";
import { navigation } from "./pages";
import { useMe } from "./session";

/** Links to the pages that have a place in the navigation; on narrow screens behind a button. */
export function Navigation() {
  const [location] = useLocation();
  const me = useMe();
  const links = navigation(me?.role === "admin").map((page) => {
    const current = location === page.path || (page.path !== "/" && location.startsWith(`${page.path}/`));
    return (
      <li key={page.path}>
        <Link href={page.path} className={styles.link} aria-current={current ? "page" : undefined}>
          <Icon name={page.nav?.icon ?? "dot"} />
          {page.nav?.label}
        </Link>
      </li>
    );
  });
  return (
    <nav aria-label="Main" className={styles.nav}>
      <Link href="/" className={styles.brand}>
        <img src="/icon.svg" alt="" width="22" height="22" />
        Regraft
      </Link>
      <ul className={styles.wide}>{links}</ul>
      <details className={styles.narrow} key={location}>
        <summary aria-label="Menu">
          <Icon name="menu" />
        </summary>
        <ul>{links}</ul>
      </details>
    </nav>
  );
}
