"""Rows that share words with evaluation prompts: a model that was trained on them would know the questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from regraft.domain.datasets.content import all_messages
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.words import runs, texts, words
from regraft.infra.files.evaluation_prompts import PromptFile, read_prompts

_LEAST = 8  # words of a prompt that is shorter than a run, for it to be searched for as a whole
_NAMED = 100  # prompts of a file that the report names, those with most rows first


class Contamination:
    """Refuses rows that hold a run of words of a prompt, in whatever message. ``ngram`` is the length of a run."""

    def __init__(self, files: tuple[str, ...], ngram: int) -> None:
        self._names = files
        self._ngram = ngram
        self._short: Counter[str] = Counter()
        self._rows: dict[str, Counter[int]] = {name: Counter() for name in files}

    @cached_property
    def _files(self) -> list[PromptFile]:
        return [read_prompts(name) for name in self._names]

    @cached_property
    def _prompts(self) -> dict[int, dict[int, tuple[str, int]]]:
        """By length of a run, by its hash: the file and the line of the first prompt that holds it.

        Hashes are Python's own, of 64 bits: with a million runs in prompts and a billion in rows, the chance that any
        two of them collide is about 1 in 20,000.
        """
        found: dict[int, dict[int, tuple[str, int]]] = {}
        for file in self._files:
            for line, prompt in file.prompts:
                said = words(prompt)
                length = min(len(said), self._ngram)
                if length < min(self._ngram, _LEAST):
                    self._short[file.name] += 1
                    continue
                of_length = found.setdefault(length, {})
                for run in runs(said, length):
                    of_length.setdefault(hash(run), (file.name, line))
        return found

    def check(self, row: Row) -> Row | RowRefusal:
        """Refuse a row that shares a run with a prompt, and name the prompt."""
        for message in all_messages(row):
            for text in texts(message):
                said = words(text)
                for length, prompts in self._prompts.items():
                    if len(said) < length:
                        continue
                    for run in runs(said, length):
                        if place := prompts.get(hash(run)):
                            name, line = place
                            self._rows[name][line] += 1
                            return RowRefusal("contaminated", f"shares {length} words with {name} line {line}")
        return row

    def replaced(self, row: Row) -> Row:
        """Nothing is replaced."""
        return row

    def report(self) -> Mapping[str, object]:
        """By file: its digest, its prompts, and the rows that fell to them."""
        _ = self._prompts
        figures = {
            file.name: {
                "sha256": file.digest,
                "prompts": len(file.prompts),
                "too_short_to_compare": self._short[file.name],
                "rows": self._rows[file.name].total(),
                "rows_by_line": {
                    str(line): count
                    for line, count in sorted(self._rows[file.name].items(), key=lambda each: (-each[1], each[0]))[
                        :_NAMED
                    ]
                },
            }
            for file in self._files
        }
        return {"decontamination": {"ngram": self._ngram, "files": figures}}

    def links(self) -> list[tuple[int, int]]:
        """No links."""
        return []
