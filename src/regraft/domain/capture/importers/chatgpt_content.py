"""The content of a ChatGPT message: its text, its reasoning, and the fields that are kept with them.

Words that an own type of ChatGPT's holds (a transcript of speech, a quoted page, the user's custom instructions) are
text; a part without words (an image) stays a part. Marks that represent a citation in the text are replaced by the text
that ChatGPT showed for them, or taken out; ``rest`` keeps them, and every member of a part that is not text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.capture.importers.messages import content_of, text_part
from regraft.domain.capture.importers.values import mapping, mappings, text

_THINKING = frozenset({"thoughts"})
_RECAP = "reasoning_recap"  # a label of the page ("Thought for 5 seconds"), no words of the model
_TEXTS = ("text", "result", "content", "user_profile", "user_instructions", "model_set_context")
_PLAIN = frozenset({"code", "execution_output", "text"})
_CONTEXT = frozenset({"model_editable_context", "user_editable_context"})
_SOUND = ("audio_asset_pointer", "real_time_user_audio_video_asset_pointer")
# Two forms: private characters around the mark, and a bracketed number with a dagger.
_MARK = re.compile("\ue200[^\ue200\ue201]*\ue201|【[0-9:]+†[^【】]*】")


@dataclass(frozen=True, slots=True)
class MessageContent:
    """``words`` is a text, or parts where something else was said."""

    words: str | list[Any]
    thought: str = ""
    rest: dict[str, Any] = field(default_factory=dict)
    source_texts: tuple[str, ...] = ()  # with citation marks in them
    says_nothing: bool = False  # it is a thought, or a label of the page: it belongs to the answer after it


def content_of_message(content: dict[str, Any], details: dict[str, Any]) -> MessageContent:
    """The content of a message. ``details`` is its ``metadata``, which knows what a citation's mark stood for."""
    kind = text(content.get("content_type"))
    parts = content.get("parts")
    if kind in _THINKING:
        return MessageContent("", _thought(content), {"content": _without_thoughts(content)}, says_nothing=True)
    if kind == _RECAP:
        return MessageContent("", rest={"content": content}, says_nothing=True)
    if kind in ("text", "multimodal_text") and not text(content.get("text")):
        made, kept = _parts(parts if isinstance(parts, list) else [])
    else:
        made, kept = _parts([content] if content else [])
        if not made and kind in _CONTEXT:
            return MessageContent("", rest={"content": content}, says_nothing=True)
    shown = {
        text(each.get("matched_text")): text(each.get("alt"))
        for each in mappings(details.get("content_references"))
        if text(each.get("matched_text")).strip()
    }
    marks: list[str] = []
    cited = [_cited(part, shown, marks) for part in made]
    beside: dict[str, Any] = {}
    if kept:
        beside["parts"] = kept
    if marks:
        beside["citation_marks"] = marks
    sources = tuple(before["text"] for before, after in zip(made, cited, strict=True) if before is not after)
    return MessageContent(content_of(cited), rest=beside, source_texts=sources)


def _parts(parts: list[Any]) -> tuple[list[Any], list[Any]]:
    """Parts of a chat message, and what of ChatGPT's own parts is not in them."""
    heard = any(mapping(part).get("content_type") == "audio_transcription" for part in parts)
    made: list[Any] = []
    kept: list[Any] = []
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str):
            made.append(text_part(part))
            continue
        found = mapping(part)
        kind = text(found.get("content_type"))
        texts = [key for key in _TEXTS if text(found.get(key)).strip()]
        if heard and kind in _SOUND:  # its transcript is beside it
            kept.append(part)
        elif texts:
            made.append(text_part("\n\n".join(text(found[key]) for key in texts)))
            more = {key: value for key, value in found.items() if key not in texts and value not in (None, "", [], {})}
            if more.keys() - {"content_type"} or kind not in _PLAIN:
                kept.append(more)
        elif found and kind in _CONTEXT:
            continue
        else:
            made.append({"type": kind or "unknown", **found} if found else {"type": "unknown", "value": part})
    return made, kept


def _thought(content: dict[str, Any]) -> str:
    pieces = [text(each.get("content")) or text(each.get("summary")) for each in mappings(content.get("thoughts"))]
    return "\n\n".join(filter(None, pieces))


def _without_thoughts(content: dict[str, Any]) -> dict[str, Any]:
    """The rest of a content of thoughts, with the summaries that the page showed for them."""
    summaries = [
        text(each.get("summary")) for each in mappings(content.get("thoughts")) if text(each.get("content")).strip()
    ]
    more = {name: value for name, value in content.items() if name != "thoughts"}
    return {**more, "summaries": summaries} if any(summaries) else more


def _cited(part: Any, shown: dict[str, str], marks: list[str]) -> Any:
    if mapping(part).get("type") != "text" or part.keys() != {"type", "text"}:
        return part

    def replaced(match: re.Match[str]) -> str:
        marks.append(match[0])
        return shown.get(match[0], "")

    written = _MARK.sub(replaced, part["text"])
    return part if written == part["text"] else text_part(written)
