import { type RefObject, useEffect, useState } from "react";
import { counted } from "../../parts/format";
import styles from "./FindBar.module.css";
import { placesIn } from "./find";

type Props = { input: RefObject<HTMLInputElement | null>; lease: string | undefined; onClose: () => void };

/** Finds a text in the item that is shown. Enter goes to the next place, Escape ends it. */
export function FindBar({ input, lease, onClose }: Props) {
  const [wanted, setWanted] = useState("");
  const [ranges, setRanges] = useState<Range[]>([]);
  const [at, setAt] = useState(0);
  useEffect(() => {
    const shown = document.querySelector(`[data-lease="${lease ?? ""}"]`);
    const found = shown && wanted ? rangesIn(shown, wanted) : [];
    setRanges(found);
    setAt(0);
    CSS.highlights?.set("found", new Highlight(...found));
    return () => {
      CSS.highlights?.delete("found");
      CSS.highlights?.delete("found-now");
    };
  }, [wanted, lease]);
  useEffect(() => {
    const range = ranges[at];
    if (!range) return;
    CSS.highlights?.set("found-now", new Highlight(range));
    range.startContainer.parentElement?.scrollIntoView({ block: "nearest" });
  }, [ranges, at]);
  const step = (by: number) => ranges.length && setAt((at + by + ranges.length) % ranges.length);
  return (
    <search className={styles.find}>
      <input
        ref={input}
        // biome-ignore lint/a11y/noAutofocus: it was asked for by a key
        autoFocus
        aria-label="Find in this item"
        placeholder="Find in this item"
        value={wanted}
        onChange={(event) => setWanted(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.ctrlKey) step(event.shiftKey ? -1 : 1);
          else if (event.key === "Escape") onClose();
          else return;
          event.preventDefault();
        }}
      />
      <span role="status" className="soft">
        {wanted && (ranges.length ? `${at + 1} of ${counted(ranges.length, "place")}` : "not found")}
      </span>
    </search>
  );
}

function rangesIn(root: Element, wanted: string): Range[] {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const nodes: Text[] = [];
  while (walker.nextNode()) nodes.push(walker.currentNode as Text);
  const places = placesIn(
    nodes.map((node) => node.data),
    wanted,
  );
  return nodes.flatMap((node, index) =>
    (places[index] ?? []).map((start) => {
      const range = document.createRange();
      range.setStart(node, start);
      range.setEnd(node, start + wanted.length);
      return range;
    }),
  );
}
