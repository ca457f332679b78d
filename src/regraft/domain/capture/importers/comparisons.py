"""Which answers were judged against one another.

A preference or a rank says something about the answers that it was chosen from, and nothing about others to the same
question: so each carries the name of its comparison. The lines of a file, its groups and its parent messages are
comparisons; a label on its own is in none.
"""

from __future__ import annotations

from collections import Counter

from regraft.domain.capture.importers.conversation import Conversation, ImportedMessage, Judgement

RELATIVE = frozenset({"preferred", "rank"})


class Comparisons:
    """The comparisons of one conversation."""

    def __init__(self, conversation: Conversation, form: str) -> None:
        self._said = conversation.said
        self._line = f"{form}:{conversation.key}"
        self._task = conversation.task or ""
        self._preferred = 0
        self._ranked: Counter[int | None] = Counter()
        for each in conversation.said:
            names = {judgement.name for judgement in each.judgements}
            self._preferred += "preferred" in names
            self._ranked[each.parent] += "rank" in names

    def of(self, judgement: Judgement, said: ImportedMessage) -> str:
        """The comparison that a judgement of a message belongs to; '' when it is in none."""
        if judgement.comparison or judgement.name not in RELATIVE:
            return judgement.comparison
        if judgement.name == "preferred":
            return self._line if self._preferred > 1 else self._task
        above = "" if said.parent is None else self._said[said.parent].key
        if above:
            return f"after {above}"
        return f"{self._line} after {said.parent}" if self._ranked[said.parent] > 1 else self._task
