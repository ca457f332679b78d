import type { Page } from "../shell/page";

const sessions = { title: "Sessions", load: () => import("./list/SessionsPage") };

export const pages: Page[] = [
  { path: "/", ...sessions },
  { path: "/sessions", ...sessions, nav: { label: "Sessions", icon: "list", order: 1 } },
  {
    path: "/themes",
    title: "Themes",
    nav: { label: "Themes", icon: "theme", order: 10 },
    load: () => import("./themes/ThemesPage"),
  },
  { path: "/sessions/:id", title: "Session", load: () => import("./tree/TreePage") },
  { path: "/nodes/:id", title: "Node", load: () => import("./tree/NodePage") },
];
