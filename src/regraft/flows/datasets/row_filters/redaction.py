"""Secrets and personal data in rows, replaced by placeholders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.personal_data import find_written_data
from regraft.domain.datasets.redaction import Redaction, key_name, total
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.secrets import Finding, find_secrets
from regraft.domain.errors import ConfigError
from regraft.infra.files.redaction_key import FILE, find_key, find_or_make_key
from regraft.infra.text.personal_data_finder import PersonalDataFinder


class RowRedaction:
    """``folder`` is the data folder with the key, None where that is not known."""

    def __init__(self, what: Literal["secrets", "pii"], folder: Path | None) -> None:
        self._what = what
        self._folder = folder
        self._counts: Counter[str] = Counter()
        self._rows = 0

    @cached_property
    def _key(self) -> bytes:
        if self._folder is None:
            raise ConfigError("Redaction needs the data folder with its key: name the workbench.")
        return find_or_make_key(self._folder)

    @cached_property
    def _finder(self) -> PersonalDataFinder:
        return PersonalDataFinder()

    @cached_property
    def _redaction(self) -> Redaction:
        if self._what == "secrets":
            return Redaction(self._key, find_secrets, find_secrets, hide_names=False)
        finder = self._finder

        def find_all(text: str) -> Iterator[Finding]:
            yield from _find_forms(text)
            yield from finder.find(text)

        return Redaction(self._key, find_all, _find_forms, hide_names=True)

    def check(self, row: Row) -> Row | RowRefusal:
        """The redacted row; refused where a replacement would break a call."""
        made = self._redaction.row(row)
        if isinstance(made, RowRefusal):
            return made
        redacted, counts = made
        self._counts += counts
        self._rows += bool(counts)
        return redacted

    def replaced(self, row: Row) -> Row:
        """The redacted row, without counting it."""
        made = self._redaction.row(row)
        return row if isinstance(made, RowRefusal) else made[0]

    def report(self) -> Mapping[str, object]:
        """What was replaced, by kind, in how many rows; and what must be there to prove the rows again."""
        figures = {
            "what": self._what,
            "replaced": total(self._counts),
            "rows": self._rows,
            "key": key_name(self._key),
            "found_by": self._versions(),
        }
        return {"redaction": figures}

    def unprovable(self, report: Mapping[str, object]) -> str:
        """Why rows cannot be proved here, '' when they can. ``report`` is that of the freeze."""
        recorded = report.get("redaction")
        frozen = recorded if isinstance(recorded, Mapping) else {}
        if self._folder is None:
            return "the rows are redacted, and the data folder with the key is not known"
        path = self._folder / FILE
        key = find_key(self._folder)
        if key is None:
            return f"the rows are redacted, and the key is missing: put {path} back"
        if frozen.get("key") != key_name(key):
            return f"the rows are redacted with another key than {path}"
        try:
            versions = self._versions()
        except ConfigError as error:
            return str(error)
        if frozen.get("found_by") != versions:
            return f"personal data was found by {frozen.get('found_by')}, and {versions} is installed"
        return ""

    def _versions(self) -> dict[str, str]:
        return self._finder.versions if self._what == "pii" else {}

    def links(self) -> list[tuple[int, int]]:
        """No links."""
        return []


def _find_forms(text: str) -> Iterator[Finding]:
    yield from find_secrets(text)
    yield from find_written_data(text)
