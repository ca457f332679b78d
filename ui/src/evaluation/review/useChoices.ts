import { useCallback, useState } from "react";
import { nameOf } from "./storage";

/** How a reviewer likes the desk; kept in the browser. */
export type Choices = {
  diff: boolean;
  wholePath: boolean;
  guidelines: boolean;
  /** Whose answers they were is shown of items that are judged. */
  reveal: boolean;
  /** A preference is submitted by the key that gives it. */
  goOn: boolean;
};

const USUAL: Choices = { diff: false, wholePath: false, guidelines: true, reveal: false, goOn: true };

export function useChoices(reviewer: string): [Choices, (change: Partial<Choices>) => void] {
  const [choices, setChoices] = useState<Choices>(() =>
    read(localStorage.getItem(nameOf(reviewer, "choices"))),
  );
  const change = useCallback(
    (some: Partial<Choices>) =>
      setChoices((old) => {
        const next = { ...old, ...some };
        localStorage.setItem(nameOf(reviewer, "choices"), JSON.stringify(next));
        return next;
      }),
    [reviewer],
  );
  return [choices, change];
}

function read(text: string | null): Choices {
  const narrow = typeof matchMedia === "function" && matchMedia("(max-width: 1100px)").matches;
  const usual = { ...USUAL, guidelines: !narrow };
  try {
    const stored = JSON.parse(text ?? "{}") as Record<string, unknown> | null;
    const known = Object.entries(stored ?? {}).filter(
      ([name, value]) => name in USUAL && typeof value === "boolean",
    );
    return { ...usual, ...Object.fromEntries(known) };
  } catch {
    return usual;
  }
}
