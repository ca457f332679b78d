import type { Schema } from "../api/client";
import { shortId } from "../parts/format";
import type { IconName } from "../parts/Icon";
import type { Page } from "./page";

export type Entry = {
  kind: string;
  href: string;
  title: string;
  detail?: string;
  icon: IconName;
  at?: string | null;
};

type Found = Schema["FoundThing"];

/** What can be opened: pages whose names hold what was typed, then what the server found. */
export function entriesOf(
  typed: string,
  pages: readonly Page[],
  found: readonly Found[] | undefined,
): Entry[] {
  const wanted = typed.trim().toLowerCase();
  const named = pages
    .filter((page) => page.nav?.label.toLowerCase().includes(wanted))
    .map((page): Entry => {
      return {
        kind: "page",
        href: page.path,
        title: page.nav?.label ?? page.title,
        icon: page.nav?.icon ?? "dot",
      };
    });
  return [...named, ...(found ?? []).map(entryOf)];
}

function entryOf(one: Found): Entry {
  const id = shortId(one.id);
  switch (one.kind) {
    case "session":
      return {
        kind: "session",
        href: `/sessions/${one.id}`,
        title: one.name || id,
        detail: one.name ? id : "session",
        icon: "list",
        at: one.at,
      };
    case "theme":
      return {
        kind: "theme",
        href: `/sessions?theme=${encodeURIComponent(one.name)}`,
        title: one.name,
        icon: "theme",
      };
    case "cluster":
      return { kind: "cluster", href: `/clusters/${one.id}`, title: one.name || id, icon: "map" };
    case "node":
      return {
        kind: "node",
        href: `/nodes/${one.id}`,
        title: id,
        detail: `node, ${one.name}`,
        icon: "tree",
        at: one.at,
      };
    default:
      return { kind: one.name, href: `/nodes/${one.id}`, title: one.excerpt, icon: "search", at: one.at };
  }
}
