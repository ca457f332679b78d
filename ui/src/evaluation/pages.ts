import type { Page } from "../shell/page";

export const pages: Page[] = [
  {
    path: "/review",
    title: "Review",
    nav: { label: "Review", icon: "review", order: 50 },
    load: () => import("./review/ReviewPage"),
  },
  { path: "/review/queue", title: "Review queue", load: () => import("./queue/QueuePage") },
  {
    path: "/judges",
    title: "Judges",
    nav: { label: "Judges", icon: "judge", order: 55 },
    load: () => import("./judges/JudgesPage"),
  },
  { path: "/judges/:name", title: "Judge", load: () => import("./judges/JudgePage") },
  {
    path: "/map",
    title: "Map",
    nav: { label: "Map", icon: "map", order: 20 },
    load: () => import("./map/MapPage"),
  },
  { path: "/clusters/:id", title: "Cluster", load: () => import("./cluster/ClusterPage") },
  {
    path: "/pivots",
    title: "Pivots",
    nav: { label: "Pivots", icon: "pivot", order: 30 },
    load: () => import("./pivots/PivotsPage"),
  },
  {
    path: "/categories",
    title: "Categories",
    nav: { label: "Categories", icon: "flag", order: 40 },
    load: () => import("./categories/CategoriesPage"),
  },
];
