import type { Page } from "../shell/page";

export const pages: Page[] = [
  {
    path: "/review",
    title: "Review",
    nav: { label: "Review", icon: "review", order: 50 },
    load: () => import("./review/ReviewPage"),
  },
];
