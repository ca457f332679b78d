"""Adjudication in the terminal: one dispute after another, with what people said of it and without their names."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from rich.console import Console

from regraft.domain.evaluation.human_label import Preference, Rating
from regraft.flows.evaluation.adjudication import Dispute, adjudicate, disputes
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.presentation.cli.evaluation.labelling import label_of, show_answers

_PLACES = {"first": "A", "second": "B", "equal": "equal", "both_bad": "both bad"}


class AdjudicationSession:
    """Asks for a decision on every dispute, those of contested themes first."""

    def __init__(self, desk: ReviewDesk, kind: str, theme: str | None, console: Console) -> None:
        self._desk = desk
        self._kind = kind
        self._theme = theme
        self._console = console

    def run(self) -> None:
        """Ask until the adjudicator leaves or nothing is disputed."""
        decided = 0
        skipped: list[UUID] = []
        while found := disputes(self._desk, kind=self._kind, theme=self._theme, skip=skipped):
            (dispute,) = found
            self._show(dispute)
            label = self._ask(dispute)
            if label is None:
                break
            if label == "skip":
                skipped.append(dispute.subject_id)
                continue
            assert not isinstance(label, str)
            adjudicate(self._desk, dispute.subject_id, label)
            decided += 1
        else:
            self._console.print("Nothing is disputed." if not skipped else "Nothing else is disputed.")
        self._console.print(f"{decided} adjudicated.")

    def _show(self, dispute: Dispute) -> None:
        contested = ", contested" if dispute.contested else ""
        self._console.rule(f"{dispute.theme or 'no theme'}{contested}", characters="-")
        show_answers(self._console, dispute.kind, dispute.history, dispute.answers)
        said = Counter(_PLACES.get(each, each) for each in dispute.said)
        counts = ", ".join(f"{each} by {count}" for each, count in sorted(said.items()))
        self._console.print(f"People said: {counts}.", markup=False)
        for note in dispute.notes:
            self._console.print(f"- {note}", markup=False)

    def _ask(self, dispute: Dispute) -> Rating | Preference | str | None:
        asked = "a, b, e(qual), x (both bad), " if dispute.kind == "pair" else "1 to 5 [category, ...], "
        while True:
            try:
                said = input(asked + "s(kip), q(uit)? ").strip()
            except EOFError:
                return None
            key, _, rest = said.partition(" ")
            if key.casefold() == "q":
                return None
            if key.casefold() == "s":
                return "skip"
            label = label_of(dispute.kind, key, rest, "")
            if label is not None:
                return label
