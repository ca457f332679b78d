import { expect, test } from "vitest";
import { keyName } from "./shortcuts";

function pressed(key: string, held: readonly string[] = []): KeyboardEvent {
  return {
    key,
    isComposing: false,
    ctrlKey: held.includes("Control"),
    metaKey: held.includes("Meta"),
    altKey: held.includes("Alt"),
    shiftKey: held.includes("Shift"),
    getModifierState: (name: string) => held.includes(name),
  } as KeyboardEvent;
}

test("keys have the names that people write", () => {
  expect(keyName(pressed("j"))).toBe("j");
  expect(keyName(pressed("Enter", ["Control"]))).toBe("Ctrl+Enter");
  expect(keyName(pressed("?", ["Shift"]))).toBe("?");
  expect(keyName(pressed("ArrowDown", ["Shift"]))).toBe("Shift+ArrowDown");
  expect(keyName(pressed(" "))).toBe("Space");
});

test("caps lock changes no key, and AltGr types characters", () => {
  expect(keyName(pressed("A", ["CapsLock"]))).toBe("a");
  expect(keyName(pressed("a", ["CapsLock", "Shift"]))).toBe("A");
  expect(keyName(pressed("@", ["AltGraph", "Control", "Alt"]))).toBe("");
});
