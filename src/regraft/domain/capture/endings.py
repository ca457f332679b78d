"""The finish reasons of each dialect and server, and the meaning of each.

One table for calls that were captured and for imported conversations. A word that is not in it is ``unknown``, and an
answer with an unknown ending never counts as a success. Each word has one meaning for all servers. Sources: API
references of OpenAI, Anthropic, Google, Mistral, DeepSeek, Cohere, Amazon Bedrock, Zhipu, xAI, IBM watsonx, Ollama and
LM Studio; source of vLLM, SGLang, Text Generation Inference, llama.cpp and the AI SDK; ChatGPT's export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Ending = Literal["finished", "tool_use", "cut", "filtered", "paused", "failed", "ambiguous", "unknown"]
Status = Literal["ok", "error", "interrupted", "filtered", "refused", "paused", "ambiguous", "unknown"]
STATUSES: tuple[Status, ...] = (
    "ok",
    "error",
    "interrupted",
    "filtered",
    "refused",
    "paused",
    "ambiguous",
    "unknown",
)
_CAMEL = re.compile("(?<=[a-z])(?=[A-Z])")
WHOLE: tuple[Ending, ...] = ("finished", "tool_use")  # endings of answers that are all there


def _words(
    *, finished: str = "", tool_use: str = "", cut: str = "", filtered: str = "", paused: str = "", failed: str = ""
) -> Mapping[str, Ending]:
    by_ending: tuple[tuple[Ending, str], ...] = (
        ("finished", finished),
        ("tool_use", tool_use),
        ("cut", cut),
        ("filtered", filtered),
        ("paused", paused),
        ("failed", failed),
    )
    return {word: ending for ending, words in by_ending for word in words.split()}


# By dialect or server; written small, with underscores.
ENDINGS: Mapping[str, Mapping[str, Ending]] = {
    "chat completions": _words(
        finished="stop", tool_use="tool_calls function_call", cut="length", filtered="content_filter"
    ),
    "completions": _words(finished="stop", cut="length", filtered="content_filter"),
    "responses": _words(
        finished="completed",
        cut="incomplete max_output_tokens max_tool_calls",
        filtered="content_filter",
        failed="failed cancelled queued in_progress expired",
    ),
    "anthropic": _words(
        finished="end_turn stop_sequence",
        tool_use="tool_use",
        cut="max_tokens model_context_window_exceeded",
        filtered="refusal",
        paused="pause_turn compaction",
    ),
    "gemini": _words(
        finished="stop",
        cut="max_tokens",
        filtered="safety recitation language blocklist prohibited_content spii model_armor image_safety"
        " image_prohibited_content image_recitation",
        failed="malformed_function_call unexpected_tool_call too_many_tool_calls malformed_response"
        " missing_thought_signature no_image",
    ),
    "azure": _words(finished="stop", tool_use="tool_calls", cut="length", filtered="content_filter"),
    "mistral": _words(finished="stop", tool_use="tool_calls", cut="length model_length", failed="error"),
    "deepseek": _words(
        finished="stop",
        tool_use="tool_calls",
        cut="length",
        filtered="content_filter",
        failed="insufficient_system_resource",
    ),
    "openrouter": _words(
        finished="stop", tool_use="tool_calls", cut="length", filtered="content_filter", failed="error"
    ),
    "cohere": _words(
        finished="complete stop_sequence",
        tool_use="tool_call",
        cut="max_tokens error_limit",
        filtered="error_toxic",
        failed="error user_cancel timeout",
    ),
    "bedrock": _words(
        finished="end_turn stop_sequence",
        tool_use="tool_use",
        cut="max_tokens model_context_window_exceeded",
        filtered="guardrail_intervened content_filtered",
        failed="malformed_model_output malformed_tool_use",
    ),
    "zhipu": _words(
        finished="stop",
        tool_use="tool_calls",
        cut="length model_context_window_exceeded",
        filtered="sensitive",
        failed="network_error",
    ),
    "xai": _words(
        finished="reason_stop",
        tool_use="reason_tool_calls",
        cut="reason_max_len reason_max_context reason_time_limit",
        failed="reason_invalid",
    ),
    "watsonx": _words(
        finished="eos_token stop_sequence",
        cut="max_tokens token_limit time_limit",
        failed="cancelled error not_finished",
    ),
    "ollama": _words(finished="stop", cut="length", failed="load unload"),
    "lm studio": _words(
        finished="eos_found stop_string_found",
        tool_use="tool_calls",
        cut="max_predicted_tokens_reached context_length_reached",
        failed="user_stopped model_unloaded failed",
    ),
    "vllm": _words(finished="stop", tool_use="tool_calls", cut="length", failed="abort error"),
    "sglang": _words(finished="stop", tool_use="tool_calls", cut="length", failed="abort"),
    "text generation inference": _words(finished="eos_token stop_sequence", cut="length"),
    "together": _words(finished="stop eos", tool_use="tool_calls", cut="length"),
    "llama.cpp": _words(finished="stop eos word", cut="limit length"),
    "tensorrt-llm": _words(finished="stop", cut="length", failed="cancelled timeout not_finished"),
    "langchain": _words(finished="stop", tool_use="tool_calls", cut="length", filtered="content_filter"),
    "ai sdk": _words(finished="stop", tool_use="tool_calls", cut="length", filtered="content_filter", failed="error"),
    "chatgpt export": _words(
        finished="stop finished_successfully",
        cut="max_tokens finished_partial_completion",
        failed="interrupted in_progress cancelled error client_stopped",
    ),
    "chat programs": _words(
        finished="done success",
        failed="interrupted aborted canceled cancelled unfinished incomplete_stream failed error",
    ),
}
_BY_WORD: Mapping[str, Ending] = {word: ending for words in ENDINGS.values() for word, ending in words.items()}
_STATUS: Mapping[Ending, Status] = {
    "filtered": "filtered",
    "paused": "paused",
    "failed": "interrupted",
    "ambiguous": "ambiguous",
    "unknown": "unknown",
}
_ENDING: Mapping[str, Ending] = {
    "error": "failed",
    "interrupted": "failed",
    "filtered": "filtered",
    "paused": "paused",
    "ambiguous": "ambiguous",
    "unknown": "unknown",
}


def ending_of(reason: str | None) -> Ending | None:
    """What a finish reason, stop reason or state means; None when none was given (also ``""`` and ``"null"``)."""
    word = _CAMEL.sub("_", (reason or "").strip()).casefold().replace("-", "_").replace(" ", "_")
    word = word.rpartition(".")[2].removeprefix("finish_reason_")
    if word in ("", "null", "none"):
        return None
    return _BY_WORD.get(word, "unknown")


def status_of(ending: Ending | None) -> Status:
    """The status of an answer that its server reported as complete: ``ok``, or the status of its ending.

    An answer that was cut at its limit of tokens is ``ok``; its finish reason says so.
    """
    return _STATUS.get(ending, "ok") if ending else "ok"


def with_ending(status: str, reason: str | None) -> str:
    """The status of an imported answer: the importer's where that is not ``ok``, else that of its ending."""
    return status if status != "ok" else status_of(ending_of(reason))


def recorded_ending(status: str, reason: str | None) -> Ending:
    """How a recorded answer ended, by its status and its finish reason; without a word against it, ``finished``."""
    return _ENDING.get(status) or ending_of(reason) or "finished"
