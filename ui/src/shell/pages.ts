import { pages as capture } from "../capture/pages";
import { pages as datasets } from "../datasets/pages";
import { pages as evaluation } from "../evaluation/pages";
import { pages as lineage } from "../lineage/pages";
import { pages as replay } from "../replay/pages";
import type { Page } from "./page";

/** Every page. The first whose path fits is shown. */
export const pages: readonly Page[] = [
  ...lineage,
  ...replay,
  ...evaluation,
  ...datasets,
  ...capture,
  { path: "/sign-in", title: "Sign in", load: () => import("./SignInPage") },
];

/** The pages in the navigation, in its order. */
export function navigation(admin: boolean): Page[] {
  return pages
    .filter((page) => page.nav && (admin || !page.nav.admin))
    .sort((a, b) => (a.nav?.order ?? 0) - (b.nav?.order ?? 0));
}
