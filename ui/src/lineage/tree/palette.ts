import { KINDS } from "../../parts/kinds";

/** The page's colours as a canvas takes them. */
export type Palette = {
  ground: string;
  surface: string;
  line: string;
  text: string;
  soft: string;
  accent: string;
  good: string;
  bad: string;
  warn: string;
  info: string;
  kinds: readonly string[];
  font: string;
};

const NAMES = {
  ground: "--ground",
  surface: "--surface",
  line: "--line-strong",
  text: "--text",
  soft: "--text-soft",
  accent: "--accent",
  good: "--good",
  bad: "--bad",
  warn: "--warn",
  info: "--info",
} as const;

/** The colours that hold at an element now. */
export function paletteAt(element: HTMLElement, kinds: readonly string[]): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const resolved = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const named = Object.fromEntries(Object.entries(NAMES).map(([key, name]) => [key, resolved(name)]));
  const palette = {
    ...(named as Record<keyof typeof NAMES, string>),
    kinds: kinds.map((kind) => resolved(KINDS[kind]?.hue ?? "--hue-8")),
    font: getComputedStyle(element).fontFamily,
  };
  probe.remove();
  return palette;
}

/** Calls back when the page turns light or dark; returns what ends it. */
export function onThemeChange(changed: () => void): () => void {
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const attribute = new MutationObserver(changed);
  media.addEventListener("change", changed);
  attribute.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    media.removeEventListener("change", changed);
    attribute.disconnect();
  };
}
