"""A conversation from another program's file: a tree of chat messages, and the judgements on them.

Every importer yields these, or a ``RefusedConversation`` with the reason. A file of plain lists gives
trees without branches; a format with branches gives each message once, however many branches go through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.errors import RegraftError


class UnreadableConversationError(RegraftError):
    """This conversation cannot be imported without losing or inventing something. ``place`` says where in it."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A judgement on a message: ``reward``, ``success``, ``preferred``, ``rank`` (0 is best), a vote, a score.

    ``source`` says where it is from, so that it is never taken for a judgement of our own; ``annotator`` who gave it,
    as the source calls them. ``given_by`` is ``person``, ``model`` or ``program``; '' where the names have to say it.
    Judgements of one ``comparison`` were made over the same answers. ``scale`` is lowest and highest, where known.
    """

    name: str
    value: float
    source: str
    comment: str | None = None
    annotator: str = ""
    given_by: str = ""
    comparison: str = ""
    scale: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMessage:
    """One message in its tree. ``parent`` is the place of the message before it in the list; None: it is the first.

    ``answered``: the message was given by a model in answer to what is before it, so that it is a call to store. Times
    are Unix nanoseconds. ``rest`` is what else the file says of the message, as JSON. ``missing_parent`` is the id of
    a message that this one answers and that is not in the file: what was said before it is not known. ``source_texts``
    are texts of the file that the message was cut out of; they are not stored.
    """

    message: dict[str, Any]
    parent: int | None
    key: str = ""
    answered: bool = False
    model: str | None = None
    started_ns: int | None = None
    duration_ns: int = 0
    first_byte_ns: int | None = None
    usage: dict[str, Any] | None = None
    finish_reason: str | None = None
    status: str = "ok"
    tools: dict[str, Any] | None = None
    sampling: dict[str, Any] | None = None
    judgements: tuple[Judgement, ...] = ()
    rest: dict[str, Any] = field(default_factory=dict)
    missing_parent: str = ""
    source_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """``said`` lists parents before their children. ``key`` is the conversation's id in its file, or is made of its
    place and its content.

    ``named``: the file itself says which messages are one conversation, so that the key names the session; else its
    opening does, as for calls of a client that names nothing. ``tools`` and ``sampling`` are request components.
    ``left_out`` names what of it is not there or is not read although the conversation is.
    """

    key: str
    said: list[ImportedMessage]
    source: str = ""
    named: bool = False
    task: str | None = None
    theme: str | None = None
    model: str | None = None
    started_ns: int | None = None
    tools: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[RefusedConversation, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedConversation:
    """One conversation, or a piece of one, that was left out: its name in the file, a reason that many may share, and
    the place in the conversation where the reason lies."""

    name: str
    reason: str
    place: str = field(default="", compare=False)


Found = Conversation | RefusedConversation


def ordered(parents: Mapping[str, str | None]) -> Iterator[str]:
    """Ids with parents before children, siblings in the order given. A parent that is not there makes a first message.

    Raises UnreadableConversationError when messages answer one another in a circle.
    """
    below: dict[str | None, list[str]] = {}
    for each, parent in parents.items():
        below.setdefault(parent if parent in parents else None, []).append(each)
    waiting = list(reversed(below.get(None, [])))
    placed = 0
    while waiting:
        each = waiting.pop()
        placed += 1
        yield each
        waiting.extend(reversed(below.get(each, [])))
    if placed < len(parents):
        raise UnreadableConversationError("messages that answer one another in a circle")


def last_answer(said: Iterable[ImportedMessage]) -> int | None:
    """The place of the last message that a model gave: where a judgement of a whole conversation belongs."""
    places = [at for at, each in enumerate(said) if each.answered]
    return places[-1] if places else None
