"""Shell completion: ids and names from the log if its database is running, and built-in names.

It starts no service and prints no errors: if the log cannot be read, nothing is completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from regraft.domain.datasets.targets import TARGETS

_MOST = 50  # sessions and snapshots that are looked at, the latest first
Completion = tuple[str, str]  # a value, and what it is


def sessions(incomplete: str) -> list[Completion]:
    """Sessions by a prefix of an id, with how each opens; a name is completed where a session has one."""
    from regraft.flows.lineage import reading

    def found(dsn: str) -> Iterable[Completion]:
        for row in reading.sessions(dsn, _MOST):
            about = " ".join((row["opening"] or "").split())[:60]
            yield str(row["session_id"]), about
            if row["external_id"]:
                yield row["external_id"], about

    return _starting(incomplete, _from_log(found))


def snapshots(incomplete: str) -> list[Completion]:
    """Frozen datasets, the latest first."""
    from regraft.flows.datasets.freeze import list_snapshots

    def found(dsn: str) -> Iterable[Completion]:
        for each in reversed(list_snapshots(dsn)[-_MOST:]):
            yield each.snapshot_id, each.kind

    return _starting(incomplete, _from_log(found))


def models(incomplete: str) -> list[Completion]:
    """Models that answered."""
    from regraft.flows.replay.models import listed

    def found(dsn: str) -> Iterable[Completion]:
        for name in dict.fromkeys(row["model"] for row in listed(dsn)):
            yield name, ""

    return _starting(incomplete, _from_log(found))


def recipes(incomplete: str) -> list[Completion]:
    """Built-in recipes, and recipe files of the working directory."""
    from pathlib import Path

    from regraft.infra.files.recipes import built_in

    files = sorted(path.name for path in Path().glob("*.toml") if path.name != "regraft.toml")
    return _starting(incomplete, [*((name, "built in") for name in built_in()), *((name, "") for name in files)])


def targets(incomplete: str) -> list[Completion]:
    """What snapshots are exported for."""
    return _starting(incomplete, [(name, "") for name in TARGETS])


def formats(incomplete: str) -> list[Completion]:
    """Formats of files that can be imported."""
    from regraft.domain.capture.importers import IMPORTERS

    return _starting(incomplete, [(each.form, each.title) for each in IMPORTERS])


def _starting(incomplete: str, found: Iterable[Completion]) -> list[Completion]:
    return [(value, about) for value, about in found if value.startswith(incomplete)]


def _from_log(read: Callable[[str], Iterable[Completion]]) -> list[Completion]:
    from regraft.infra.embedded.stack import Stack
    from regraft.infra.embedded.state import RunFolder
    from regraft.infra.settings import load_settings

    try:
        settings = load_settings()
        run = settings.data_dir / "run"
        state = RunFolder(run).read("postgres") if run.is_dir() else None
        if settings.postgres.dsn is None and not (state and state.alive()):
            return []
        stack = Stack(settings)
        try:
            return list(read(stack.existing_postgres()))
        finally:
            stack.close()
    except Exception:  # noqa: BLE001 (a shell that completes shows no errors)
        return []
