import { useEffect, useState } from "react";
import type { Palette, Rgb } from "./paint";

const NAMES = [
  ...Array.from({ length: 8 }, (_, at) => `--hue-${at + 1}`),
  ...["--good", "--warn", "--bad", "--text", "--text-soft", "--accent", "--line"],
];

function read(probe: HTMLElement, name: string): Rgb {
  probe.style.color = `var(${name})`;
  const parts =
    getComputedStyle(probe)
      .color.match(/[\d.]+/g)
      ?.map(Number) ?? [];
  return [parts[0] ?? 128, parts[1] ?? 128, parts[2] ?? 128];
}

/** The colours of the theme as numbers. */
export function readPalette(): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  try {
    return { ground: read(probe, "--surface"), of: new Map(NAMES.map((name) => [name, read(probe, name)])) };
  } finally {
    probe.remove();
  }
}

/** The colours of the theme that is shown; they change with it. */
export function usePalette(): Palette {
  const [palette, setPalette] = useState(readPalette);
  useEffect(() => {
    const change = () => setPalette(readPalette());
    const media = window.matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", change);
    const watcher = new MutationObserver(change);
    watcher.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      media.removeEventListener("change", change);
      watcher.disconnect();
    };
  }, []);
  return palette;
}
