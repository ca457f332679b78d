"""One grammar over all commands: the placeholder of a value in usage lines and help, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer
from typer.main import get_command

# By the name of an option (its first long one, without dashes) or of an argument.
METAVARS: dict[str, str] = {
    "a": "NODE",
    "annotator": "NAME",
    "b": "NODE",
    "because": "TEXT",
    "budget-money": "AMOUNT",
    "budget-tokens": "N",
    "by": "NAME",
    "calls": "CALL",
    "builders": "N",
    "category": "CATEGORY",
    "cluster": "CLUSTER",
    "cluster-layer": "N",
    "concurrency": "N",
    "config": "FILE",
    "csv": "FILE",
    "description": "TEXT",
    "experiment": "FILE",
    "file": "FILE",
    "folder": "FOLDER",
    "forget": "FOLDER",
    "format": "FORMAT",
    "given-by": "NAME",
    "html": "FILE",
    "item": "ITEM",
    "items": "ITEM",
    "judge": "JUDGE",
    "key-prefix": "TEXT",
    "key_id": "KEY",
    "kind": "KIND",
    "layer": "N",
    "limit": "N",
    "matching": "TEXT",
    "max-concurrency": "N",
    "max-steps": "N",
    "max-tokens": "N",
    "model": "MODEL",
    "more": "N",
    "most-text": "MEGABYTES",
    "name": "NAME",
    "node": "NODE",
    "nodes": "NODE",
    "note": "TEXT",
    "of-model": "MODEL",
    "other": "NODE",
    "outcome-above": "OUTCOME",
    "outcome-below": "OUTCOME",
    "pair": "PAIR",
    "paths": "PATH",
    "password-file": "FILE",
    "per-minute": "N",
    "plan": "PLAN",
    "prefer": "SIDE",
    "projection": "VERSION",
    "prompt": "TEXT",
    "python": "FILE",
    "rating": "RATING",
    "raw-bodies-older-than": "AGE",
    "run-details-older-than": "AGE",
    "ray": "ADDRESS",
    "reason": "TEXT",
    "recipe": "RECIPE",
    "release": "NAME",
    "report": "FILE",
    "requests": "FILE",
    "resume": "PLAN",
    "reviewer": "NAME",
    "reviewers": "N",
    "rule": "RULE",
    "samples": "N",
    "scope": "TENANT",
    "seed": "N",
    "session": "SESSION",
    "simulate-user": "FILE",
    "simulator": "MODEL",
    "size": "N",
    "snapshot": "SNAPSHOT",
    "sort": "COLUMN",
    "source": "NAME",
    "state": "STATE",
    "status": "STATUS",
    "system": "TEXT",
    "table": "TABLE",
    "target": "TARGET",
    "task": "TASK",
    "taskification": "PLAN",
    "temperature": "NUMBER",
    "text": "WORDS",
    "theme": "THEME",
    "threshold": "NUMBER",
    "to": "PATH",
    "token_id": "TOKEN",
    "tools": "POLICY",
    "tools-file": "FILE",
    "top-p": "NUMBER",
    "toward": "NODE",
    "turns": "N",
    "unit": "PATH-ID",
    "user": "TEXT",
    "with": "ORCHESTRATOR",
    "without-tool": "TOOL",
    "worker": "WORKER",
}
# Where a name means something else in one command, or in one group.
OF_COMMAND: dict[tuple[str, str], str] = {
    ("dataset diff", "a"): "SNAPSHOT",
    ("dataset diff", "b"): "SNAPSHOT",
    ("schema", "name"): "FILE-KIND",
    ("judges show", "name"): "JUDGE",
    ("judges run", "name"): "JUDGE",
    ("judges init", "name"): "JUDGE",
    ("keys create", "model"): "GLOB",
    ("keys create", "paths"): "GLOB",
}

_WIDE = 24  # characters of values in help, beyond which they are named in the text
Command = Any  # typer keeps click's classes to itself


@cache
def command_tree(app: typer.Typer) -> Command:
    """The commands of an app, made once in a process, with what stands for each value."""
    tree = get_command(app)
    for path, command in commands_of(tree):
        for parameter in command.params:
            name = value_name(parameter)
            found = OF_COMMAND.get((path, name)) or METAVARS.get(name)
            if found and takes_free_value(parameter):
                parameter.metavar = found
            _show_plainly(parameter)
        _show_help_plainly(command)
    return tree


def _show_plainly(parameter: Command) -> None:
    """Help shows a value by its word alone: no types of Python, nothing for what takes no value."""
    if parameter.param_type_name == "argument" or getattr(parameter, "is_flag", False):
        shown = ""
    elif takes_free_value(parameter):
        shown = f"{parameter.metavar}{'...' if parameter.multiple else ''}"
    else:
        values = [str(each) for each in parameter.type_descriptor.choices]
        shown = METAVARS[value_name(parameter)] if len("|".join(values)) > _WIDE else "|".join(values)
        if len("|".join(values)) > _WIDE:
            parameter.help = f"{parameter.help} One of {', '.join(values)}."
    parameter.display_type_rich = lambda ctx: shown


def _show_help_plainly(command: Command) -> None:
    made = command.get_help_option

    def get_help_option(ctx: Any) -> Any:
        option = made(ctx)
        if option is not None:
            _show_plainly(option)
        return option

    command.get_help_option = get_help_option


def commands_of(tree: Command, path: str = "") -> Iterator[tuple[str, Command]]:
    """All commands and groups by their words: ``""`` is the program, ``plans show`` a command of a group."""
    yield path, tree
    for name, command in getattr(tree, "commands", {}).items():
        yield from commands_of(command, f"{path} {name}".strip())


def value_name(parameter: Command) -> str:
    """The name that a parameter is looked up by."""
    if parameter.param_type_name == "argument":
        return str(parameter.name)
    return next(str(one).removeprefix("--") for one in parameter.opts if one.startswith("--"))


def takes_free_value(parameter: Command) -> bool:
    """Whether a value is given that is none of a few: those are listed in place of a word."""
    if getattr(parameter, "is_flag", False):
        return False
    return not parameter.type_descriptor.is_choice
