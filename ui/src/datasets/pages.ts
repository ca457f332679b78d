import type { Page } from "../shell/page";

export const pages: Page[] = [
  {
    path: "/datasets",
    title: "Datasets",
    nav: { label: "Datasets", icon: "dataset", order: 60 },
    load: () => import("./DatasetsPage"),
  },
  { path: "/datasets/recipes/:name", title: "Recipe", load: () => import("./recipe/RecipePage") },
  { path: "/datasets/diff/:a/:b", title: "Difference", load: () => import("./difference/DifferencePage") },
  { path: "/datasets/:snapshot/rows/:row", title: "Row", load: () => import("./row/RowPage") },
  { path: "/datasets/:snapshot", title: "Dataset", load: () => import("./snapshot/SnapshotPage") },
];
