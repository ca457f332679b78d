"""Taskify rules: the built-in ones, and those that the settings add or put in their place."""

from __future__ import annotations

from importlib.resources import files

from regraft.domain.errors import NotFoundError
from regraft.domain.orchestration.rule import Rule
from regraft.infra.config.document import parse_document
from regraft.infra.config.rule import RuleSection
from regraft.infra.settings import Settings

DEFAULT = "default"


def rules(settings: Settings) -> dict[str, Rule]:
    """All rules by name. Raises UsageError when a rule of the settings is unreadable."""
    built_in = _built_in()
    sections = {**built_in, **settings.rules}
    return {name: _rule(name, section, built_in[DEFAULT].repair) for name, section in sections.items()}


def rule_of(settings: Settings, name: str) -> Rule:
    """The rule of this name. Raises NotFoundError that lists those that there are."""
    known = rules(settings)
    if name not in known:
        raise NotFoundError(f"There is no taskify rule {name}. The rules are: {', '.join(sorted(known))}.")
    return known[name]


def _rule(name: str, section: RuleSection, repair: str) -> Rule:
    return Rule(
        name=name,
        instructions=section.instructions,
        repair=section.repair or repair,
        max_subtasks=section.max_subtasks,
        description=section.description,
    )


def _built_in() -> dict[str, RuleSection]:
    found = {}
    for file in files("regraft").joinpath("rules").iterdir():
        if file.name.endswith(".toml"):
            found[file.name.removesuffix(".toml")] = parse_document(file.read_text("utf-8"), file.name, RuleSection)
    return found
