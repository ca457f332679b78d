import { expect, test } from "vitest";
import type { Schema } from "../../api/client";
import { certificateText, rowText } from "./texts";

type Row = Schema["SnapshotRowDetail"];

const call = { id: "c", type: "function", function: { name: "look", arguments: '{"a":1}' } };
const messages = [
  { effect: "", message: { role: "user", content: "Hi", tool_calls: [] } },
  { effect: "", message: { role: "assistant", content: null, tool_calls: [call] } },
  { effect: "learn", message: { role: "assistant", content: null, parts: ["a", "b"], tool_calls: [] } },
];

test("a row reads as one text, with its calls and what is not trained on", () => {
  const row = { parts: [{ name: "messages", messages }] } as unknown as Row;
  expect(rowText(row)).toBe('user:\nHi\nassistant (not trained on):\ncalls look({"a":1})\nassistant:\na\nb');
  expect(rowText(undefined)).toBe("");
});

test("several parts are named", () => {
  const row = {
    parts: [
      { name: "prompt", messages: messages.slice(0, 1) },
      { name: "chosen", messages: messages.slice(2) },
    ],
  } as unknown as Row;
  expect(rowText(row)).toBe("[prompt]\nuser:\nHi\n\n[chosen]\nassistant:\na\nb");
});

test("a certificate is lines of figures", () => {
  const row = {
    split: "train",
    session_id: "s",
    notes: ["prefill joined to its answer"],
    figures: [{ name: "score", value: "0.500", demanded: "" }],
  } as unknown as Row;
  expect(certificateText(row)).toBe("split: train\nscore: 0.500\nsession: s\nprefill joined to its answer");
});
