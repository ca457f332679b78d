"""Themes: their figures; renamed, merged and described by people, which is kept with who did it and when.

Calls name the theme of their session. What they named is never changed: it is filed under another name from then on,
also where the graph is derived again. Labels belong to paths and stay with them; frozen datasets keep the old names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from regraft.domain.errors import NotFoundError, UsageError
from regraft.domain.lineage.theme import cleaned_name, theme_id_of
from regraft.flows.evaluation.reviewer_agreement import refresh_agreement
from regraft.infra.postgres.capture.inbox import storable
from regraft.infra.postgres.lineage import graph
from regraft.infra.postgres.lineage import themes as store
from regraft.infra.postgres.pool import Connection, Source, reading_from, transaction

Row = dict[str, Any]

LONGEST_DESCRIPTION = 2_000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeChange:
    """What a theme is now: its id, which changes with its name, and how many sessions were filed again. ``merged``: a
    theme of that name was there already."""

    theme_id: UUID
    name: str
    scope: str
    description: str
    sessions: int
    merged: bool


def theme_figures(source: Source, scope: str | None = None) -> list[Row]:
    """Themes by name with what their sessions come to, side calls left out; the last one, if any, is of no theme."""
    with reading_from(source) as connection:
        return store.rows(connection, "figures", scope=scope)


def theme_history(source: Source, theme: UUID, scope: str | None = None, limit: int = 100) -> list[Row]:
    """Who changed what of a theme, the latest first. Raises NotFoundError."""
    with reading_from(source) as connection:
        found = _one(connection, theme, scope)
        return store.rows(connection, "history", scope=found["scope"], name=found["name"], limit=limit)


def theme_named(source: Source, name: str, scope: str | None = None) -> UUID:
    """The id of a theme. Raises NotFoundError, or UsageError where several tenants have one of that name."""
    with reading_from(source) as connection:
        found = store.rows(connection, "named", name=storable(name) or "", scope=scope)
    if len(found) > 1:
        raise UsageError(f"Several tenants have a theme {name!r}. Say which: --scope NAME.")
    if not found:
        raise NotFoundError(f"There is no theme {name!r}.")
    return UUID(str(found[0]["theme_id"]))


def describe_theme(
    dsn: str, theme: UUID, description: str, made_by: str, *, scope: str | None = None, now: datetime | None = None
) -> ThemeChange:
    """Say what a theme is about. Raises NotFoundError, or UsageError for a text that is too long."""
    text = storable(description.strip()) or ""
    if len(text) > LONGEST_DESCRIPTION:
        raise UsageError(f"A description has at most {LONGEST_DESCRIPTION} characters.")
    with transaction(dsn, name="regraft-themes") as connection:
        graph.lock(connection)
        found = _one(connection, theme, scope)
        if text != found["description"]:
            _note(connection, found, [found["name"]], found["name"], text, made_by, now or datetime.now(UTC))
            store.run(connection, "describe", theme=theme, description=text)
    return _changed(found, theme, found["name"], text, sessions=0, merged=False)


def rename_theme(
    dsn: str, theme: UUID, name: str, made_by: str, *, scope: str | None = None, now: datetime | None = None
) -> ThemeChange:
    """File everything under another name: a new one, or that of a theme that is there, which merges both.

    A merge cannot be undone. Raises NotFoundError, or UsageError for a name that is empty or too long.
    """
    wanted, now = cleaned_name(name), now or datetime.now(UTC)
    with transaction(dsn, name="regraft-themes") as connection:
        graph.lock(connection)
        found = _one(connection, theme, scope)
        same = {"from": theme, "from_name": found["name"], "scope": found["scope"]}
        target = theme_id_of(found["scope"], wanted)
        if target == theme:
            return _changed(found, theme, wanted, found["description"], sessions=0, merged=False)
        there = store.rows(connection, "one", theme=target, scope=found["scope"])
        called = store.rows(connection, "called", scope=found["scope"], name=found["name"])
        # The name itself is filed under itself again, should it have been filed elsewhere before.
        _note(connection, found, sorted({*(row["called"] for row in called), wanted}), wanted, None, made_by, now)
        store.run(
            connection,
            "add_theme",
            theme_id=target,
            name=wanted,
            scope=found["scope"],
            description=found["description"],
            created_at=found["created_at"],
        )
        build = graph.next_build(connection)
        sessions = store.run(connection, "move_sessions", **{**same, "to": target, "build": build})
        store.run(connection, "move_runs", **{**same, "to": target})
        store.run(connection, "save_build", build=build, now=now)
        store.run(connection, "move_queue", **{**same, "to_name": wanted})
        store.run(connection, "measure_again")
        store.run(connection, "drop_theme", **same)
    refresh_agreement(dsn)
    description = there[0]["description"] if there else found["description"]
    return _changed(found, target, wanted, description, sessions=sessions, merged=bool(there))


def _one(connection: Connection, theme: UUID, scope: str | None) -> Row:
    found = store.rows(connection, "one", theme=theme, scope=scope)
    if not found:
        raise NotFoundError(f"There is no theme {theme}.")
    return found[0]


def _note(
    connection: Connection,
    found: Row,
    called: list[str],
    theme: str,
    description: str | None,
    made_by: str,
    now: datetime,
) -> None:
    for one in called:
        store.run(
            connection,
            "add_change",
            change_id=uuid4(),
            scope=found["scope"],
            called=one,
            theme=theme,
            description=description,
            made_by=storable(made_by),
            made_at=now,
        )


def _changed(found: Row, theme: UUID, name: str, description: str, *, sessions: int, merged: bool) -> ThemeChange:
    return ThemeChange(
        theme_id=theme,
        name=name,
        scope=found["scope"],
        description=description,
        sessions=sessions,
        merged=merged,
    )
