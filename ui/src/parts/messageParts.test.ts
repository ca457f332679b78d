import { expect, test } from "vitest";
import { partsOf } from "./messageParts";

test("text, as a string or in parts, of any API", () => {
  expect(partsOf({ role: "user", content: "hi" })).toEqual([{ kind: "text", text: "hi" }]);
  for (const type of ["text", "input_text", "output_text"]) {
    expect(partsOf({ role: "user", content: [{ type, text: "hi" }] })).toEqual([
      { kind: "text", text: "hi" },
    ]);
  }
});

test("tool calls of both shapes have a name, an id and their input", () => {
  const chat = {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "c1", function: { name: "look", arguments: '{"a":1}' } }],
  };
  expect(partsOf(chat)).toEqual([{ kind: "call", name: "look", id: "c1", input: '{"a":1}' }]);
  const messages = {
    role: "assistant",
    content: [{ type: "tool_use", id: "c1", name: "look", input: { a: 1 } }],
  };
  expect(partsOf(messages)).toEqual([{ kind: "call", name: "look", id: "c1", input: '{\n  "a": 1\n}' }]);
});

test("tool results keep their text and whether they failed", () => {
  expect(partsOf({ role: "tool", tool_call_id: "c1", content: "42" })).toEqual([
    { kind: "result", id: "c1", text: "42", failed: false },
  ]);
  const content = [
    { type: "tool_result", tool_use_id: "c1", is_error: true, content: [{ type: "text", text: "no" }] },
  ];
  expect(partsOf({ role: "user", content })).toEqual([
    { kind: "result", id: "c1", text: "no", failed: true },
  ]);
});

test("reasoning comes first", () => {
  expect(
    partsOf({ role: "assistant", reasoning_content: "hm", content: "yes" }).map((part) => part.kind),
  ).toEqual(["reasoning", "text"]);
  expect(partsOf({ role: "assistant", content: [{ type: "thinking", thinking: "hm" }] })).toEqual([
    { kind: "reasoning", text: "hm" },
  ]);
});

test("an image is named, never loaded", () => {
  const url = `data:image/png;base64,${"A".repeat(4096)}`;
  expect(partsOf({ role: "user", content: [{ type: "image_url", image_url: { url } }] })).toEqual([
    { kind: "file", what: "image", name: "image/png, 3 KiB" },
  ]);
  expect(
    partsOf({
      role: "user",
      content: [{ type: "image_url", image_url: { url: "https://x.example/a.png" } }],
    }),
  ).toEqual([{ kind: "file", what: "image", name: "https://x.example/a.png" }]);
});

test("what is not known is kept as it is", () => {
  expect(partsOf({ role: "user", content: [{ type: "hologram", depth: 3 }] })).toEqual([
    { kind: "other", json: '{\n  "type": "hologram",\n  "depth": 3\n}' },
  ]);
  expect(partsOf("loose")).toEqual([{ kind: "other", json: '"loose"' }]);
});
