"""Labelling in the terminal: one item of the queue after another, by the keys that the web page has too."""

from __future__ import annotations

from collections.abc import Sequence

from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from regraft.domain.errors import NotFoundError
from regraft.domain.evaluation.human_label import Preference, Rating
from regraft.domain.evaluation.review_queue import SKIP_REASONS, QueueFilter
from regraft.flows.evaluation.desk import ReviewDesk
from regraft.flows.evaluation.desk_records import ShownItem

_PLACES = {"a": "first", "b": "second", "e": "equal", "x": "both_bad"}
_KEYS = "s(kip), c(omment), f(lag), u(ndo), p(rogress), q(uit)? "


class LabellingSession:
    """Asks until the reviewer leaves or nothing waits. What is held then is given back."""

    def __init__(self, desk: ReviewDesk, wanted: QueueFilter, console: Console) -> None:
        self._desk = desk
        self._wanted = wanted
        self._console = console
        self._judged = 0
        self._waiting = 0
        self._undone: ShownItem | None = None

    def run(self) -> None:
        """Ask for judgements of one item after another."""
        self._waiting = self._desk.progress(self._wanted).waiting
        while True:
            item = self._undone or next(iter(self._desk.claim(self._wanted)), None)
            self._undone = None
            if item is None:
                self._console.print("No item is waiting for you.")
                break
            self._show(item)
            if not self._ask(item):
                self._desk.release(item.lease_id)
                break
        self._console.print(f"{self._judged} judged.")

    def _show(self, item: ShownItem) -> None:
        self._console.rule(f"{self._judged} judged, {max(1, self._waiting)} to go")
        show_answers(self._console, item.kind, item.history, item.answers)
        if item.draft:
            said = ", ".join(f"{name}: {value}" for name, value in item.draft.items() if value)
            self._console.print(escape(f"You said before: {said}"))

    def _ask(self, item: ShownItem) -> bool:
        """Ask until the item is judged, skipped or another one is due; False to leave."""
        note = str((item.draft or {}).get("note", ""))
        asked = "a, b, e(qual), x (both bad), " if item.kind == "pair" else "1 to 5 [category, ...], "
        while True:
            try:
                said = input(asked + _KEYS).strip()
            except EOFError:
                return False
            key, _, rest = said.partition(" ")
            match key.casefold():
                case "q":
                    return False
                case "s":
                    if self._skip(item, rest):
                        return True
                case "c":
                    note = rest or note
                case "f":
                    on = self._desk.flag(item.lease_id, rest, on=not item.flagged)
                    self._console.print("Flagged for others to look at." if on else "No longer flagged.")
                case "p":
                    self._progress()
                case "u":
                    if self._undo(item):
                        return True
                case _:
                    label = label_of(item.kind, key, rest, note)
                    if label is not None:
                        self._desk.submit(item.lease_id, label)
                        self._judged += 1
                        self._waiting -= 1
                        return True

    def _skip(self, item: ShownItem, reason: str) -> bool:
        chosen = reason or self._read(f"Why? {', '.join(SKIP_REASONS)}: ") or "other"
        if chosen not in SKIP_REASONS:
            self._console.print(f"A reason is one of {', '.join(SKIP_REASONS)}.")
            return False
        self._desk.skip(item.lease_id, chosen)
        self._waiting -= 1
        return True

    def _undo(self, item: ShownItem) -> bool:
        try:
            undone = self._desk.undo()
        except NotFoundError as error:
            self._console.print(str(error))
            return False
        self._console.print(f"Taken back: {undone.act}.")
        if undone.item is None:
            return False
        self._desk.release(item.lease_id)
        self._undone = undone.item
        if undone.act == "submitted":
            self._judged = max(0, self._judged - 1)
        self._waiting += 1
        return True

    def _progress(self) -> None:
        mine = self._desk.progress(self._wanted)
        self._console.print(
            f"{mine.submitted} judged ({mine.submitted_today} today), {mine.skipped} skipped, {mine.flagged} flagged, "
            f"{mine.waiting} waiting."
        )

    def _read(self, question: str) -> str:
        try:
            return input(question).strip()
        except EOFError:
            return ""


def show_answers(console: Console, kind: str, history: str, answers: Sequence[str]) -> None:
    """Print a conversation and its last answer, or two answers side by side."""
    console.print(escape(history), style="dim")
    half = console.width // 2 - 1
    texts = [escape(answer.removeprefix("[assistant]\n")) for answer in answers]
    if kind == "pair":
        console.print(Columns([Panel(text, title=title, width=half) for text, title in zip(texts, "AB", strict=True)]))
    else:
        console.print(Panel(texts[0], title="answer"))


def label_of(kind: str, key: str, rest: str, note: str) -> Rating | Preference | None:
    """What a key means: of a pair a, b, e or x, of a path 1 to 5 with categories; None: nothing."""
    if kind == "pair":
        place = _PLACES.get(key.casefold())
        return Preference(preference=place, note=note) if place else None
    if key not in {"1", "2", "3", "4", "5"}:
        return None
    named = tuple(dict.fromkeys(name for each in rest.replace(",", " ").split() if (name := each.strip())))
    return Rating(rating=int(key), categories=named, note=note)
