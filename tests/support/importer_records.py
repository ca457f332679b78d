"""One record of every format that is imported, and the places of all values in it."""

from __future__ import annotations

import json
from typing import Any

ASKED, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


CALLS = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


RECORDS: dict[str, Any] = {
    "lm_studio": {
        "name": "n",
        "createdAt": 1_700_000_000_000,
        "systemPrompt": "s",
        "messages": [
            {"currentlySelected": 0, "versions": [{"role": "user", "content": [{"type": "text", "text": "q"}]}]},
            {
                "currentlySelected": 0,
                "versions": [
                    {
                        "role": "assistant",
                        "senderInfo": {"senderName": "m"},
                        "steps": [
                            {
                                "type": "contentBlock",
                                "content": [{"type": "text", "text": "a"}],
                                "genInfo": {"stats": {"stopReason": "eosFound"}},
                            }
                        ],
                    }
                ],
            },
        ],
    },
    "llama_cpp": {
        "conv": {"id": "c", "name": "n", "currNode": "a"},
        "messages": [
            {"id": "r", "type": "root", "role": "system", "content": "", "parent": None, "children": ["u"]},
            {"id": "u", "type": "text", "parent": "r", "children": ["a"], **ASKED},
            {"id": "a", "type": "text", "parent": "u", "children": [], "model": "m", "thinking": "t", **SAID},
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "q"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": 2}}}]},
            {"role": "model", "parts": [{"text": "a"}]},
        ],
    },
    "messages": {"role": "assistant", "content": [{"type": "text", "text": "a"}], "ts": 1_700_000_000_000},
    "cursor": {
        "composer": {
            "composerId": "c",
            "name": "n",
            "fullConversationHeadersOnly": [{"bubbleId": "u", "type": 1}, {"bubbleId": "a", "type": 2}],
        },
        "bubbles": {
            "u": {"type": 1, "text": "q"},
            "a": {
                "type": 2,
                "text": "a",
                "toolFormerData": {"toolCallId": "t", "name": "f", "rawArgs": "{}", "result": "r"},
            },
        },
    },
    "calls": {
        "request_id": "r1",
        "request_created_at": "2026-01-01T00:00:00Z",
        "request_body": {"model": "m", "messages": [ASKED], "temperature": 0.5, "tools": []},
        "response_body": {
            "id": "x",
            "model": "m-1",
            "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
            "usage": {"total_tokens": 3},
        },
        "response_status": 200,
        "scores": {"quality": 4},
        "feedback_rating": True,
    },
    "langsmith": {
        "id": "r1",
        "trace_id": "t1",
        "run_type": "llm",
        "start_time": "2026-01-01T00:00:00",
        "inputs": {
            "messages": [
                [{"lc": 1, "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "q"}}]
            ]
        },
        "outputs": {"generations": [[{"text": "a", "message": {"id": ["AIMessage"], "kwargs": {"content": "a"}}}]]},
        "extra": {"invocation_params": {"model": "m", "temperature": 0}},
        "feedback_stats": {"ok": {"n": 1, "avg": 1}},
    },
    "mlflow": {
        "info": {"trace_id": "t", "assessments": [{"assessment_name": "ok", "feedback": {"value": True}}]},
        "data": {
            "spans": [
                {
                    "span_id": "s",
                    "parent_span_id": None,
                    "start_time_unix_nano": 1,
                    "attributes": {
                        "mlflow.spanType": '"CHAT_MODEL"',
                        "mlflow.spanInputs": json.dumps({"model": "m", "messages": [ASKED]}),
                        "mlflow.spanOutputs": json.dumps({"choices": [{"message": SAID}]}),
                    },
                }
            ]
        },
    },
    "openinference": {
        "name": "ChatCompletion",
        "span_kind": "LLM",
        "context": {"trace_id": "t", "span_id": "s"},
        "attributes": {
            "llm": {
                "model_name": "m",
                "input_messages": [{"message": {"role": "user", "content": "q"}}],
                "output_messages": [{"message": {"role": "assistant", "content": "a"}}],
                "invocation_parameters": '{"temperature": 0}',
            }
        },
    },
    "annotated_pairs": {
        "idx": 1,
        "instruction": "q",
        "input": "about this",
        "response1": "a",
        "response2": "b",
        "annotator1": 1,
        "annotator2": 0,
        "cmp_key": "x_y",
    },
    "arena": {
        "question_id": "q1",
        "model_a": "x",
        "model_b": "y",
        "winner": "model_a",
        "judge": "u1",
        "turn": 1,
        "conversation_a": [ASKED, SAID],
        "conversation_b": [ASKED, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}],
    },
    "turns": {
        "conversation_hash": "h",
        "model": "m",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "conversation": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "q", "toxic": False, "turn_identifier": 7},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "assistant", "content": "a", "rating": 5},
        ],
        "reward": 1,
    },
    "preferences": {"prompt": "q", "chosen": "a", "rejected": {"role": "assistant", "content": "b"}, "score_chosen": 8},
    "pairs": {"instruction": "q", "input": "i", "output": "a", "system": "s", "history": [["p", "o"]], "label": True},
    "rated_answers": {
        "source": "evol",
        "instruction": "q",
        "models": ["x"],
        "completions": [
            {
                "model": "x",
                "custom_system_prompt": "s",
                "response": "a",
                "annotations": {"helpfulness": {"Rating": "5", "Rationale": "good"}},
                "overall_score": 8.5,
            }
        ],
    },
    "codex": {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "type": "response_item",
        "payload": {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a"}],
            "phase": "final_answer",
        },
    },
    "claude_code": {
        "type": "assistant",
        "uuid": "a",
        "parentUuid": None,
        "sessionId": "s1",
        "isSidechain": True,
        "agentId": "g1",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "requestId": "r",
        "message": {
            "id": "m",
            "role": "assistant",
            "model": "claude",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
            ],
            "stop_reason": "tool_use",
            "usage": {"output_tokens": 1},
        },
    },
    "openai": {
        "id": "x",
        "group": "g",
        "messages": [ASKED, {**SAID, "tool_calls": CALLS}],
        "tools": [{"name": "f"}],
        "outcome": {"reward": 1, "ranks": [0, 1]},
        "meta": {
            "message_ids": ["u", "a"],
            "message_meta": [{}, {"usage": {}, "timestamp": "2025"}],
            "sampling_params": {},
        },
        "chosen": [SAID],
    },
    "sharegpt": {
        "id": "x",
        "system": "s",
        "tools": "[]",
        "conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": '{"name": "f"}'}],
        "chosen": {"from": "gpt", "value": "a"},
        "rejected": {"from": "gpt", "value": "b"},
        "label": True,
    },
    "chatgpt": {
        "conversation_id": "x",
        "mapping": {
            "r": {"parent": None, "children": ["u"], "message": None},
            "u": {
                "parent": "r",
                "children": ["t"],
                "message": {
                    "author": {"role": "user"},
                    "content": {"content_type": "multimodal_text", "parts": ["q", {}]},
                },
            },
            "t": {
                "parent": "u",
                "children": ["a"],
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"content_type": "thoughts", "thoughts": [{"content": "h"}]},
                },
            },
            "a": {
                "parent": "t",
                "children": [],
                "message": {
                    "author": {"role": "assistant"},
                    "recipient": "python",
                    "content": {"content_type": "code", "text": "1"},
                    "metadata": {"finish_details": {"type": "stop"}, "model_slug": "m"},
                },
            },
        },
    },
    "claude": {
        "uuid": "x",
        "chat_messages": [
            {"uuid": "u", "sender": "human", "text": "q", "attachments": [{}], "files": [{}]},
            {
                "uuid": "a",
                "sender": "assistant",
                "parent_message_uuid": "u",
                "content": [
                    {"type": "tool_use", "id": "c", "name": "f"},
                    {"type": "tool_result", "content": [{"text": "1"}]},
                ],
            },
        ],
    },
    "librechat": {
        "conversationId": "x",
        "options": {"promptPrefix": "p", "temperature": 1},
        "messages": [
            {
                "messageId": "u",
                "isCreatedByUser": True,
                "text": "q",
                "files": [{}],
                "children": [
                    {
                        "messageId": "a",
                        "parentMessageId": "u",
                        "content": [
                            {"type": "tool_call", "tool_call": {"id": "c"}},
                            {"type": "text", "text": {"value": "a"}},
                        ],
                        "feedback": {"rating": "thumbsUp"},
                    }
                ],
            }
        ],
    },
    "open_webui": {
        "id": "x",
        "chat": {
            "params": {"system": "s"},
            "history": {
                "messages": {
                    "u": {"id": "u", "role": "user", "content": "q", "files": [{}]},
                    "a": {
                        "parentId": "u",
                        "role": "assistant",
                        "content": '<details type="reasoning">h</details>a',
                        "annotation": {"rating": 1},
                        "output": [{"type": "message", "content": [{"text": "a"}]}],
                    },
                }
            },
        },
    },
    "oasst": {
        "message_tree_id": "x",
        "prompt": {
            "message_id": "u",
            "role": "prompter",
            "text": "q",
            "replies": [
                {"message_id": "a", "role": "assistant", "text": "a", "rank": 0, "emojis": {"+1": 1}, "replies": []}
            ],
        },
    },
    "oasst_messages": {
        "message_id": "x",
        "parent_id": "y",
        "role": "prompter",
        "text": "q",
        "labels": {"name": ["a"], "value": [1]},
    },
    "tau_bench": {"task_id": 1, "trial": 0, "reward": 1, "info": {"task": {}}, "traj": [ASKED, SAID]},
    "tau2_bench": {
        "id": "x",
        "task_id": "1",
        "reward_info": {"reward": 1},
        "messages": [
            {**ASKED, "tool_calls": [{"id": "c", "name": "f", "arguments": {}}]},
            {"role": "tool", "id": "c"},
            SAID,
        ],
    },
    "toolbench": {
        "id": "x",
        "native": {
            "tree": {
                "tree": {
                    "node_type": "Action Input",
                    "children": [
                        {
                            "node_type": "Action",
                            "description": "f",
                            "children": [
                                {"node_type": "Action Input", "description": "{}", "observation": "1", "Elo": 1}
                            ],
                        }
                    ],
                }
            },
            "answer_generation": {"query": "q", "function": [{}], "train_messages": [[ASKED]]},
            "answer": {"answer_details": [{"role": "tool", "message": "{'name': 'f'}", "next": [{"role": "user"}]}]},
        },
    },
    "inspect_ai": {
        "id": 1,
        "epoch": 1,
        "messages": [
            {**ASKED, "content": [{"type": "image", "image": "u"}]},
            {**SAID, "tool_calls": [{"function": "f"}]},
        ],
        "attachments": {"h": "x"},
        "scores": {"m": {"value": "C"}},
        "events": [{"event": "model", "output": {"choices": [{"message": {"id": "m"}}], "time": 1}, "config": {}}],
    },
    "swe_agent": {
        "id": "x",
        "native": {
            "trajectory": [],
            "history": [
                {**ASKED, "agent": "main", "message_type": "observation"},
                {**SAID, "agent": "main", "thought": "t", "tool_calls": CALLS},
                {"role": "tool", "agent": "main", "content": "1", "tool_call_ids": ["c"]},
            ],
            "info": {"exit_status": "submitted"},
        },
    },
    "langfuse": {
        "trace": {"id": "x", "scores": [{"id": "s", "name": "n", "value": 1, "observationId": "o"}]},
        "observations": [
            {
                "id": "o",
                "type": "GENERATION",
                "startTime": "2025-01-01",
                "input": {
                    "system": "s",
                    "messages": [ASKED, {"role": "assistant", "parts": [{"type": "tool_call", "name": "f"}]}],
                },
                "output": {"choices": [{"message": SAID}]},
                "usageDetails": {"input": 1},
                "modelParameters": {"temperature": 1},
            }
        ],
    },
    "otel_genai": {
        "scopeSpans": [
            {
                "spans": [
                    {
                        "spanId": "x",
                        "attributes": [
                            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                            {"key": "gen_ai.prompt.0.role", "value": {"stringValue": "user"}},
                            {"key": "gen_ai.prompt.0.tool_calls.0.name", "value": {"stringValue": "f"}},
                            {
                                "key": "gen_ai.output.messages",
                                "value": {"arrayValue": {"values": [{"stringValue": "a"}]}},
                            },
                        ],
                        "events": [
                            {
                                "name": "gen_ai.choice",
                                "attributes": [{"key": "message", "value": {"stringValue": "{}"}}],
                            }
                        ],
                    }
                ]
            }
        ]
    },
}


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]
