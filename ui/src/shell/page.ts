import type { ComponentType } from "react";
import type { IconName } from "../parts/Icon";

export type PageProps = { params: Readonly<Record<string, string>> };

/** A page of a room: where it is, and how its code is loaded. */
export type Page = {
  /** A pattern of wouter, such as `/sessions/:id`. */
  path: string;
  /** The window's title until the page sets its own. */
  title: string;
  /** Its place in the navigation; pages without are reached from others. */
  nav?: { label: string; icon: IconName; order: number; admin?: boolean };
  load: () => Promise<{ default: ComponentType<PageProps> }>;
};
