"""Taskify rules: the built-in ones, and those that the settings add or put in their place."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from regraft.domain.errors import NotFoundError
from regraft.domain.orchestration.taskification import Rule
from regraft.infra.settings import Settings

DEFAULT = "default"


def rules(settings: Settings) -> dict[str, Rule]:
    """All rules by name. Raises UsageError when one of the settings' is no rule."""
    found = {rule.name: rule for rule in _built_in()}
    repair = found[DEFAULT].repair
    for name, section in settings.rules.items():
        found[name] = Rule(
            name=name,
            instructions=section.instructions,
            repair=section.repair or repair,
            max_subtasks=section.max_subtasks,
            description=section.description,
        )
    return found


def rule_of(settings: Settings, name: str) -> Rule:
    """The rule of this name. Raises NotFoundError that lists those that there are."""
    known = rules(settings)
    if name not in known:
        raise NotFoundError(f"There is no taskify rule {name}. The rules are: {', '.join(sorted(known))}.")
    return known[name]


def _built_in() -> list[Rule]:
    folder = files("regraft").joinpath("rules")
    return [Rule(**tomllib.loads(file.read_text("utf-8"))) for file in folder.iterdir() if file.name.endswith(".toml")]
