"""The result of an import: counts of all files, and a line of JSON for each conversation in a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from regraft.domain.capture.importers.conversation import Conversation, RefusedConversation

_NAMES_KEPT = 100  # of what was refused for one reason


@dataclass(slots=True)
class ImportCounts:
    """The result of an import. ``already`` counts conversations that were stored before; ``turns`` new answers,
    ``calls`` all of them; ``branches`` the ends of all trees; ``unanswered`` those that end without an answer;
    ``recognised`` the files of a known format."""

    files: int = 0
    conversations: int = 0
    already: int = 0
    messages: int = 0
    calls: int = 0
    turns: int = 0
    branches: int = 0
    unanswered: int = 0
    judgements: int = 0
    forms: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    refused_names: dict[str, list[str]] = field(default_factory=dict)
    placed: int = 0
    recognised: int = 0

    def refuse(self, refusal: RefusedConversation) -> None:
        """Count what was left out, by its reason, with its name."""
        self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
        names = self.refused_names.setdefault(refusal.reason, [])
        if len(names) < _NAMES_KEPT:
            names.append(refusal.name)


class ImportReport:
    """Counts what is read, and writes a line for each conversation if a report was requested."""

    def __init__(self, counts: ImportCounts, write: Callable[[dict[str, Any]], None] | None) -> None:
        self.counts = counts
        self._write = write
        self._where: dict[str, Any] = {"file": None, "format": None}

    def begin(self, file: str, form: str | None = None) -> Self:
        """What follows is from this file."""
        self._where = {"file": file, "format": form}
        return self

    def refuse(self, refusal: RefusedConversation, record: int | None = None) -> None:
        """Nothing of this was read."""
        self.counts.refuse(refusal)
        self._tell(record, refusal.name, [refusal])

    def read(self, conversation: Conversation, record: int) -> None:
        """This was read; what of it was left out is counted among the refused."""
        form = self._where["format"]
        self.counts.forms[form] = self.counts.forms.get(form, 0) + 1
        for piece in conversation.left_out:
            self.counts.refuse(replace(piece, name=f"{conversation.key}: {piece.name}"))
        self._tell(record, conversation.key, conversation.left_out, conversation)

    def _tell(
        self,
        record: int | None,
        name: str,
        refused: tuple[RefusedConversation, ...] | list[RefusedConversation],
        conversation: Conversation | None = None,
    ) -> None:
        if self._write is None:
            return
        said = conversation.said if conversation else []
        line = {
            **self._where,
            "record": None if record is None else record + 1,
            "conversation": name,
            "messages": len(said),
            "turns": sum(each.answered and each.parent is not None for each in said),
            "refused": [
                {"name": each.name, "reason": each.reason, **({"place": each.place} if each.place else {})}
                for each in refused
            ],
            "kept": _kept(conversation) if conversation else [],
        }
        self._write(line)


def _kept(conversation: Conversation) -> list[str]:
    """The keys of what was kept without being read, of the conversation and of its messages."""
    found = {key for key, value in conversation.rest.items() if value is not None and key != "unread"}
    found.update(conversation.rest.get("unread", {}))
    found.update(f"messages.{key}" for each in conversation.said for key in each.rest)
    return sorted(found)
