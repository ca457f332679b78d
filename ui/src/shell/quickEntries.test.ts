import { expect, it } from "vitest";
import type { Schema } from "../api/client";
import type { Page } from "./page";
import { entriesOf } from "./quickEntries";

const pages: Page[] = [
  { path: "/map", title: "Map", nav: { label: "Map", icon: "map", order: 1 }, load: () => Promise.reject() },
  {
    path: "/sessions",
    title: "S",
    nav: { label: "Sessions", icon: "list", order: 2 },
    load: () => Promise.reject(),
  },
];
const found = (part: Partial<Schema["FoundThing"]>): Schema["FoundThing"] => ({
  kind: "session",
  id: "01234567-89ab-cdef-0123-456789abcdef",
  session_id: null,
  name: "",
  excerpt: "",
  at: null,
  ...part,
});

it("offers every page before anything is typed", () => {
  expect(entriesOf("", pages, undefined).map((one) => one.href)).toEqual(["/map", "/sessions"]);
});

it("offers pages by their names before what was found", () => {
  const entries = entriesOf("ma", pages, [found({ name: "my talk" })]);
  expect(entries.map((one) => one.title)).toEqual(["Map", "my talk"]);
});

it("leads to the page of each kind of thing", () => {
  const hrefs = (part: Partial<Schema["FoundThing"]>) => entriesOf("zz", pages, [found(part)])[0]?.href;
  expect(hrefs({ kind: "session" })).toBe("/sessions/01234567-89ab-cdef-0123-456789abcdef");
  expect(hrefs({ kind: "theme", name: "a&b" })).toBe("/sessions?theme=a%26b");
  expect(hrefs({ kind: "cluster" })).toMatch(/^\/clusters\//);
  expect(hrefs({ kind: "words", name: "answer", excerpt: "said" })).toMatch(/^\/nodes\//);
});
