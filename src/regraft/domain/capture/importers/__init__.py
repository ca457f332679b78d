"""The file formats that can be imported, by name. Each recognises its records and reads them into conversations.

An importer is two functions: ``recognises(record)`` looks at a file's first record, ``read(record)`` yields what is in
one. A format whose conversations are spread over records ``gather``s them from all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.importers import (
    annotated_pairs,
    arena,
    chatgpt,
    claude_code,
    claude_export,
    codex,
    cursor,
    gemini,
    inspect_ai,
    langfuse,
    langsmith,
    librechat,
    llama_cpp,
    lm_studio,
    logged_calls,
    message_files,
    mlflow,
    oasst,
    open_webui,
    openai_jsonl,
    openinference,
    otel_genai,
    pairs,
    preferences,
    rated_answers,
    sharegpt,
    swe_agent,
    tau2_bench,
    tau_bench,
    toolbench,
    turn_lists,
)
from regraft.domain.capture.importers.conversation import (
    Found,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.records import JsonRecord, UnreadableLine
from regraft.domain.capture.importers.unread import with_unread
from regraft.domain.capture.importers.values import mapping, name
from regraft.domain.errors import UsageError
from regraft.domain.ids import TOO_DEEP, nested_too_deeply


@dataclass(frozen=True, slots=True)
class Importer:
    """One format. ``beside`` names a file that may lie beside one of this format, and reads its records into members
    of the head of the records that it says something of. ``aside`` are members of a record that are known to repeat its
    messages, or to hold none of them; None where a record tells of much besides its conversations (traces): then only
    the reader says what it left out."""

    form: str
    title: str
    recognises: Callable[[JsonRecord], bool]
    read: Callable[[JsonRecord], Iterator[Found]]
    gather: Callable[[Iterable[JsonRecord]], Iterator[Found]] | None = None
    beside: tuple[str, Callable[[Iterable[JsonRecord]], dict[str, Any]]] | None = None
    aside: frozenset[str] | None = frozenset()


# In the order of asking: the particular before the general.
IMPORTERS = (
    Importer(
        chatgpt.FORM,
        "ChatGPT conversations.json",
        chatgpt.recognises,
        chatgpt.read,
        beside=("message_feedback.json", chatgpt.feedback),
    ),
    Importer(claude_code.FORM, "Claude Code transcript", claude_code.recognises, claude_code.read, claude_code.gather),
    Importer(codex.FORM, "Codex rollout", codex.recognises, codex.read, codex.gather),
    Importer(claude_export.FORM, "Claude data export", claude_export.recognises, claude_export.read),
    Importer(lm_studio.FORM, "LM Studio conversation", lm_studio.recognises, lm_studio.read),
    Importer(llama_cpp.FORM, "llama.cpp web interface export", llama_cpp.recognises, llama_cpp.read),
    Importer(cursor.FORM, "Cursor chats (state.vscdb)", cursor.recognises, cursor.read, aside=cursor.ASIDE),
    Importer(open_webui.FORM, "Open WebUI chat export", open_webui.recognises, open_webui.read),
    Importer(librechat.FORM, "LibreChat conversation export", librechat.recognises, librechat.read),
    Importer(
        inspect_ai.FORM, "Inspect AI log (.json, .eval)", inspect_ai.recognises, inspect_ai.read, aside=inspect_ai.ASIDE
    ),
    Importer(tau2_bench.FORM, "tau2-bench results", tau2_bench.recognises, tau2_bench.read),
    Importer(tau_bench.FORM, "tau-bench trajectories", tau_bench.recognises, tau_bench.read),
    Importer(
        toolbench.FORM,
        "ToolBench answers and ToolEval results",
        toolbench.recognises,
        toolbench.read,
        aside=toolbench.ASIDE,
    ),
    Importer(swe_agent.FORM, "SWE-agent trajectories", swe_agent.recognises, swe_agent.read, aside=swe_agent.ASIDE),
    Importer(langfuse.FORM, "Langfuse traces", langfuse.recognises, langfuse.read, aside=None),
    Importer(
        otel_genai.FORM,
        "OpenTelemetry GenAI spans and logs (OTLP JSON)",
        otel_genai.recognises,
        otel_genai.read,
        aside=None,
    ),
    Importer(langsmith.FORM, "LangSmith runs", langsmith.recognises, langsmith.read, aside=None),
    Importer(mlflow.FORM, "MLflow traces", mlflow.recognises, mlflow.read, aside=None),
    Importer(
        openinference.FORM,
        "OpenInference spans (Phoenix)",
        openinference.recognises,
        openinference.read,
        aside=None,
    ),
    Importer(logged_calls.FORM, "Logged calls (Helicone, batch files)", logged_calls.recognises, logged_calls.read),
    Importer(oasst.FORM, "OpenAssistant message trees", oasst.recognises, oasst.read),
    Importer(oasst.FLAT, "OpenAssistant messages", oasst.recognises_flat, oasst.read, oasst.gather),
    Importer(gemini.FORM, "Gemini contents", gemini.recognises, gemini.read),
    Importer(arena.FORM, "Battles of two models", arena.recognises, arena.read),
    Importer(
        annotated_pairs.FORM,
        "Two answers with votes of annotators (PandaLM)",
        annotated_pairs.recognises,
        annotated_pairs.read,
    ),
    Importer(sharegpt.FORM, "ShareGPT", sharegpt.recognises, sharegpt.read),
    Importer(preferences.FORM, "Preferences of two answers", preferences.recognises, preferences.read),
    Importer(rated_answers.FORM, "Several rated answers", rated_answers.recognises, rated_answers.read),
    Importer(openai_jsonl.FORM, "OpenAI chat messages (JSON lines)", openai_jsonl.recognises, openai_jsonl.read),
    Importer(turn_lists.FORM, "Lists of turns", turn_lists.recognises, turn_lists.read),
    Importer(
        message_files.FORM,
        "A file of messages (Cline)",
        message_files.recognises,
        message_files.read,
        message_files.gather,
    ),
    Importer(pairs.FORM, "Questions with answers", pairs.recognises, pairs.read),
)
FORMS = tuple(importer.form for importer in IMPORTERS)


def importer_of(form: str) -> Importer:
    """Raises UsageError, with the names there are, for one that is not."""
    for importer in IMPORTERS:
        if importer.form == form:
            return importer
    raise UsageError(f"There is no format {form!r}. Known: {', '.join(FORMS)}.")


def detected(record: JsonRecord) -> Importer | None:
    """The importer that recognises a record."""
    return next((importer for importer in IMPORTERS if importer.recognises(record)), None)


def conversations(importer: Importer, found: Iterable[JsonRecord | UnreadableLine]) -> Iterator[tuple[int, Found]]:
    """Everything in a file, with the positions of its records. A record that cannot be read is a Refusal, never an
    error."""
    unreadable: list[UnreadableLine] = []
    if importer.gather is not None:
        whole = importer.gather(_readable(found, unreadable))
        for position, each in enumerate(whole):
            yield position, each
        for bad in unreadable:
            yield bad.position, RefusedConversation(f"line {bad.position + 1}", bad.reason)
        return
    for record in found:
        if isinstance(record, UnreadableLine):
            yield record.position, RefusedConversation(f"line {record.position + 1}", record.reason)
            continue
        if nested_too_deeply(record.value):
            yield record.position, RefusedConversation(_name(record), TOO_DEEP)
            continue
        try:
            for each in _whole(importer, record):
                yield record.position, each
        except UnreadableConversationError as error:
            yield record.position, RefusedConversation(_name(record), str(error), error.place)


def _whole(importer: Importer, record: JsonRecord) -> Iterator[Found]:
    """The conversations of a record, with the texts that its reader did not use."""
    if importer.aside is None:
        yield from importer.read(record)
        return
    yield from with_unread(record.value, list(importer.read(record)), importer.aside)


def _readable(found: Iterable[JsonRecord | UnreadableLine], aside: list[UnreadableLine]) -> Iterator[JsonRecord]:
    for record in found:
        if isinstance(record, UnreadableLine):
            aside.append(record)
        else:
            yield record


def _name(record: JsonRecord) -> str:
    value = mapping(record.value)
    for key in ("id", "uuid", "conversation_id", "conversationId", "message_tree_id", "task_id"):
        if name(value.get(key)):
            return name(value[key])
    return f"record {record.position + 1}"
