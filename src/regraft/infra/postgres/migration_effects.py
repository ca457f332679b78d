"""What a migration does to tables that exist: which it locks, which it reads or writes row by row.

Read from its text, as a person would: nothing is run. Statements inside functions are left out, as they run later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PARTS = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(\$\w*\$).*?\1|'(?:[^']|'')*'""",
    re.DOTALL,
)
_NAME = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?:ONLY\s+)?(?:\w+\.)?(\w+)"
_LOCKING = {
    "altered": rf"\bALTER\s+TABLE\s+{_NAME}",
    "indexed": rf"\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?\w*\s*ON\s+{_NAME}",
    "updated": rf"(?<!ON\s)(?<!FOR\s)(?<!OR\s)(?<!AFTER\s)\bUPDATE\s+{_NAME}",
    "deleted from": rf"\bDELETE\s+FROM\s+{_NAME}",
    "dropped": rf"\bDROP\s+(?:TABLE|VIEW|MATERIALIZED\s+VIEW)\s+{_NAME}",
    "given a trigger": rf"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER\s+\w+.*?\bON\s+{_NAME}",
}
_CREATED = re.compile(rf"\bCREATE\s+(?:UNLOGGED\s+)?TABLE\s+{_NAME}", re.IGNORECASE)
_EFFECTS = {what: re.compile(pattern, re.IGNORECASE | re.DOTALL) for what, pattern in _LOCKING.items()}
_WHOLE = frozenset({"indexed", "updated", "deleted from"})  # every row of the table is looked at


@dataclass(frozen=True, slots=True)
class TableEffect:
    """What is done to one table that was there before; ``whole``: all its rows are read or written."""

    table: str
    what: str
    whole: bool


def effects_of(statements: str) -> list[TableEffect]:
    """What the statements of a migration do to tables that they do not make themselves, in the order of the tables."""
    bare = _PARTS.sub(lambda found: "''" if found[0].startswith(("'", "$")) else " ", statements)
    created = {name.lower() for name in _CREATED.findall(bare)}
    found: set[TableEffect] = set()
    for statement in bare.split(";"):
        for what, pattern in _EFFECTS.items():
            found.update(
                TableEffect(name.lower(), what, what in _WHOLE)
                for name in pattern.findall(statement)
                if name.lower() not in created
            )
    return sorted(found, key=lambda effect: (effect.table, effect.what))
