import type { Page } from "../shell/page";

export const pages: Page[] = [
  {
    path: "/live",
    title: "Live",
    nav: { label: "Live", icon: "live", order: 5 },
    load: () => import("./live/LivePage"),
  },
  {
    path: "/admin",
    title: "Keys",
    nav: { label: "Admin", icon: "admin", order: 90, admin: true },
    load: () => import("./admin/KeysPage"),
  },
  { path: "/admin/tokens", title: "Tokens", load: () => import("./admin/TokensPage") },
  { path: "/admin/upstreams", title: "Model servers", load: () => import("./admin/UpstreamsPage") },
  { path: "/admin/quarantine", title: "Quarantine", load: () => import("./admin/QuarantinePage") },
];
