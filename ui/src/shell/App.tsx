import { lazy, Suspense, useMemo } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { Loading } from "../parts/Loading";
import styles from "./App.module.css";
import { Boundary } from "./Boundary";
import { Identity } from "./Identity";
import { Navigation } from "./Navigation";
import { NotFound } from "./NotFound";
import type { Page } from "./page";
import { pages } from "./pages";
import { QuickOpen } from "./QuickOpen";
import { ShortcutSheet } from "./ShortcutSheet";
import { useMustSignIn } from "./session";
import { ThemeSwitch } from "./ThemeSwitch";

/** The frame around every page: navigation, who is signed in, and the page of the address. */
export function App() {
  const [location] = useLocation();
  const mustSignIn = useMustSignIn() && location !== "/sign-in";
  const here = window.location.pathname + window.location.search;
  return (
    <div className={styles.app}>
      <a className={styles.skip} href="#main">
        Skip to the page
      </a>
      <header className={styles.side}>
        <Navigation />
        <div className={styles.foot}>
          <QuickOpen />
          <Identity />
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" className={styles.main} tabIndex={-1}>
        {mustSignIn && <Redirect to={`/sign-in?next=${encodeURIComponent(here)}`} replace />}
        <Switch>
          {pages.map((page) => (
            <Route key={page.path} path={page.path}>
              {(params) => <Shown page={page} params={params as Record<string, string>} />}
            </Route>
          ))}
          <Route>
            <NotFound />
          </Route>
        </Switch>
      </main>
      <ShortcutSheet />
    </div>
  );
}

function Shown({ page, params }: { page: Page; params: Record<string, string> }) {
  const Content = useMemo(() => lazy(page.load), [page]);
  return (
    <Boundary key={page.path}>
      <Suspense fallback={<Loading what="page" />}>
        <Content params={params} />
      </Suspense>
    </Boundary>
  );
}
