import type { Page } from "../shell/page";

export const pages: Page[] = [
  {
    path: "/replays",
    title: "Replays",
    nav: { label: "Replays", icon: "replay", order: 10 },
    load: () => import("./list/ReplaysPage"),
  },
  { path: "/replays/:id", title: "Replay", load: () => import("./plan/PlanPage") },
  { path: "/replay", title: "New replay", load: () => import("./form/ReplayFormPage") },
  { path: "/compare/:node", title: "Compare answers", load: () => import("./compare/ComparePage") },
];
