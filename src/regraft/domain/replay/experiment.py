"""An experiment: which nodes are grown again, under which variants, how often, and for how much at most.

The command line makes one, and so does an experiment file, a small TOML text under version control:

    [experiment]
    name = "cooler"
    samples = 4
    budget_tokens = 200_000
    [nodes]                       # ids = ["01890a5d", ...], or a query: every condition given must be met
    theme = "support"
    outcome_below = 0.5
    [grid]                        # each with each; or [[variant]] tables, one after another
    model = ["small", "large"]
    temperature = [0.2, 1.0]
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from regraft.domain.capture.endings import STATUSES
from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.ids import Digest, canonical_json, digest, parse_json
from regraft.domain.replay.job import Variant, tool_name

KINDS = (
    *("continuation", "retry", "model_variant", "sampling_variant", "prompt_variant", "tool_variant"),
    *("taskify_variant", "compaction"),
)
SAMPLING = ("temperature", "top_p", "seed", "max_tokens")
MOST_JOBS = 1_000_000
_ONE = {"model", *SAMPLING, "system", "system_file", "user", "user_file", "tools_file", "without_tools", "plan", "chat"}
_KEYS: dict[str, set[str]] = {
    "": {"experiment", "nodes", "grid", "variant"},
    "experiment": {"name", "theme", "samples", "concurrency", "again", "turns", "budget_tokens", "budget_money"},
    "nodes": {
        *("ids", "session", "theme", "task", "kind", "status", "model", "outcome_below", "outcome_above", "pivot"),
        *("replays", "limit"),
    },
    "grid": _ONE,
    "variant": _ONE,
}
Read = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which nodes: every condition given must be met, by one of its values. ``sessions`` are ids or names.

    Outcomes are rewards: a node's is the latest of its runs, else its session's. ``pivot``: several answers to one
    context that differ. Answers of replays are found only with ``replays``.
    """

    sessions: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    outcome_below: float | None = None
    outcome_above: float | None = None
    pivot: bool = False
    replays: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, given, known in (("kind", self.kinds, KINDS), ("status", self.statuses, STATUSES)):
            for value in given:
                if value not in known:
                    raise UsageError(f"{value!r} is no {name} of a node. It is one of: {', '.join(known)}.")
        for outcome in (self.outcome_below, self.outcome_above):
            if outcome is not None and not isfinite(outcome):
                raise UsageError(f"An outcome is compared with a finite number, not {outcome}.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"A limit is at least 1, not {self.limit}.")
        for text in (*self.themes, *self.tasks, *self.models):
            if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
                raise UsageError("A theme, task or model holds no NUL and no lone surrogate.")

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are given, as a JSON object."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value not in ((), None, False)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is asked for. ``nodes`` are ids (or starts of ids) and win over ``query``.

    ``growth`` says how an answer is grown where it takes more than one call. ``text`` is the file as it was written.
    """

    nodes: tuple[str, ...] = ()
    query: Query | None = None
    variants: Sequence[Variant] = (Variant(),)
    samples: int = 1
    name: str = ""
    theme: str | None = None
    again: bool = False
    growth: str = ""
    concurrency: int = 2
    budget_tokens: int | None = None
    budget_money: float | None = None
    text: str | None = field(default=None, repr=False)

    def definition(self) -> dict[str, Any]:
        """What makes it another experiment when it changes: not its name, how fast it runs and what it may cost."""
        chosen: dict[str, Any] = {"ids": list(self.nodes)} if self.nodes else (self.query or Query()).conditions
        whole = {
            "nodes": chosen,
            "variants": [variant.describe() for variant in self.variants],
            "samples": self.samples,
            "theme": self.theme,
            "again": self.again,
            "growth": self.growth,
        }
        return {key: value for key, value in whole.items() if value not in (None, False, "")}

    def definition_digest(self) -> Digest:
        """The digest of the definition."""
        return digest(b"experiment", canonical_json(self.definition()).encode())


def grid(dimensions: Mapping[str, Sequence[Any]], fixed: Variant | None = None) -> list[Variant]:
    """Each value of each dimension with each of the others; an empty dimension stays as it was.

    ``model`` and ``system`` come first, so that the jobs of one model and one prompt come one after another.
    """
    start = fixed or Variant()
    order = ("model", "system", "user", *SAMPLING)
    lists = [[(name, value) for value in dimensions.get(name, ())] or [(name, None)] for name in order]
    found = []
    for point in itertools.product(*lists):
        chosen = {name: value for name, value in point if value is not None}
        sampling = {**start.sampling, **{name: chosen[name] for name in SAMPLING if name in chosen}}
        found.append(
            Variant(
                model=chosen.get("model", start.model),
                system=chosen.get("system", start.system),
                user=chosen.get("user", start.user),
                sampling=sampling,
                tools=start.tools,
                without_tools=start.without_tools,
                plan=start.plan,
                chat=start.chat,
            )
        )
    return found


def read_tools(text: str, where: str) -> list[dict[str, Any]]:
    """Tool definitions from a JSON list; a bare function is put into the chat form. Raises UsageError."""
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}.") from error
    if not isinstance(found, list):
        raise UsageError(f"{where} must be a JSON list of tools.")
    tools = []
    for place, tool in enumerate(found, 1):
        if not isinstance(tool, dict) or tool_name(tool) is None:
            raise UsageError(f"{where}: tool {place} has no name.")
        bare = "function" not in tool and "type" not in tool
        tools.append({"type": "function", "function": tool} if bare else tool)
    return tools


def parse_experiment(text: str, source: str, read: Read) -> Experiment:
    """Read an experiment file. ``read`` gives the text of a file that it names.

    Raises ConfigError that names the place and the allowed values.
    """
    return _Parser(source, read).parse(text)


class _Parser:
    def __init__(self, source: str, read: Read) -> None:
        self._source = source
        self._read = read

    def parse(self, text: str) -> Experiment:
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{self._source} is not TOML: {error}.") from error
        self._check("", table)
        said = self._section(table, "experiment")
        nodes = self._section(table, "nodes")
        if not nodes:
            raise self._wrong("[nodes]", "is missing: give ids, or conditions such as theme or outcome_below")
        if "variant" in table and "grid" in table:
            raise self._wrong("[grid]", "and [[variant]] exclude each other: an experiment takes one or the other")
        ids = self._texts(nodes, "nodes", "ids")
        if ids and len(nodes) > 1:
            raise self._wrong("[nodes]", "has ids and conditions: it takes one or the other")
        turns = self._count(said, "experiment", "turns") or 1
        if turns != 1:
            raise self._wrong("[experiment] turns", "can only be 1 here; a conversation goes on with --continue")
        return Experiment(
            nodes=ids,
            query=None if ids else self._query(nodes),
            variants=self._variants(table),
            samples=self._count(said, "experiment", "samples") or 1,
            name=self._text(said, "experiment", "name") or "",
            theme=self._text(said, "experiment", "theme"),
            again=self._flag(said, "experiment", "again"),
            concurrency=self._count(said, "experiment", "concurrency") or 2,
            budget_tokens=self._count(said, "experiment", "budget_tokens"),
            budget_money=self._number(said, "experiment", "budget_money"),
            text=text,
        )

    def _query(self, table: Mapping[str, Any]) -> Query:
        try:
            return Query(
                sessions=self._texts(table, "nodes", "session"),
                themes=self._texts(table, "nodes", "theme"),
                tasks=self._texts(table, "nodes", "task"),
                kinds=self._texts(table, "nodes", "kind"),
                statuses=self._texts(table, "nodes", "status"),
                models=self._texts(table, "nodes", "model"),
                outcome_below=self._number(table, "nodes", "outcome_below"),
                outcome_above=self._number(table, "nodes", "outcome_above"),
                pivot=self._flag(table, "nodes", "pivot"),
                replays=self._flag(table, "nodes", "replays"),
                limit=self._count(table, "nodes", "limit"),
            )
        except UsageError as error:
            raise ConfigError(f"{self._source}: [nodes]: {error}") from error

    def _variants(self, table: Mapping[str, Any]) -> list[Variant]:
        if "grid" in table:
            section = self._section(table, "grid")
            one_only = ("tools_file", "without_tools", "plan", "chat")
            fixed = self._variant({key: section[key] for key in one_only if key in section}, "grid")
            dimensions: dict[str, list[Any]] = {}
            for key in ("model", *SAMPLING, "system", "user"):
                values = section.get(key, [])
                many = values if isinstance(values, list) else [values]
                if f"{key}_file" in section:
                    many = [*many, *(self._file(name, "grid") for name in self._texts(section, "grid", f"{key}_file"))]
                for value in many:
                    self._check_value("grid", key, value)
                dimensions[key] = many
            return grid(dimensions, fixed)
        given = table.get("variant", [{}])
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise self._wrong("[[variant]]", "is a list of tables: write [[variant]]")
        return [self._variant(each, f"variant {place}") for place, each in enumerate(given, 1)]

    def _variant(self, table: Mapping[str, Any], where: str) -> Variant:
        self._check("variant", table, where)
        for name in ("system", "user"):
            if name in table and f"{name}_file" in table:
                raise self._wrong(f"[{where}]", f"has {name} and {name}_file: it takes one or the other")
        words = {}
        for name in ("system", "user"):
            words[name] = self._text(table, where, name)
            if f"{name}_file" in table:
                words[name] = self._file(table[f"{name}_file"], where)
        tools: list[dict[str, Any]] = []
        if "tools_file" in table:
            try:
                tools = read_tools(self._file(table["tools_file"], where), str(table["tools_file"]))
            except UsageError as error:
                raise ConfigError(f"{self._source}: [{where}]: {error}") from error
        for key in SAMPLING:
            if key in table:
                self._check_value(where, key, table[key])
        return Variant(
            model=self._text(table, where, "model"),
            system=words["system"],
            user=words["user"],
            sampling={key: table[key] for key in SAMPLING if key in table},
            tools=tools or (),
            without_tools=self._texts(table, where, "without_tools"),
            plan=self._text(table, where, "plan"),
            chat=self._flag(table, where, "chat"),
        )

    # Values

    def _wrong(self, where: str, what: str) -> ConfigError:
        return ConfigError(f"{self._source}: {where} {what}.")

    def _check(self, section: str, table: Mapping[str, Any], where: str = "") -> None:
        known = sorted(_KEYS[section])
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it may hold: {', '.join(known)}."
                place = where or section
                raise ConfigError(f"{self._source}: {f'[{place}]' if place else 'the file'} has no {key!r}; {hint}")

    def _section(self, table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = table.get(name, {})
        if not isinstance(value, dict):
            raise self._wrong(f"[{name}]", "is a section")
        self._check(name, value)
        return value

    def _check_value(self, where: str, key: str, value: Any) -> None:
        if key in SAMPLING:
            whole = key in ("seed", "max_tokens")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise self._wrong(f"[{where}] {key}", f"is a {'whole ' if whole else ''}number, not {value!r}")
            if not isfinite(value):
                raise self._wrong(f"[{where}] {key}", f"is a finite number, not {value}")
        elif not isinstance(value, str):
            raise self._wrong(f"[{where}] {key}", f"is text, not {value!r}")

    def _file(self, name: Any, where: str) -> str:
        if not isinstance(name, str):
            raise self._wrong(f"[{where}]", f"names a file with {name!r}, which is no text")
        return self._read(name)

    def _text(self, table: Mapping[str, Any], where: str, key: str) -> str | None:
        value = table.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(f"[{where}] {key}", f"is text, not {value!r}")
        return value

    def _texts(self, table: Mapping[str, Any], where: str, key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        many = [value] if isinstance(value, str) else value
        if not isinstance(many, list) or not all(isinstance(one, str) for one in many):
            raise self._wrong(f"[{where}] {key}", f"is a text or a list of texts, not {value!r}")
        return tuple(many)

    def _flag(self, table: Mapping[str, Any], where: str, key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(f"[{where}] {key}", f"is true or false, not {value!r}")
        return value

    def _number(self, table: Mapping[str, Any], where: str, key: str) -> float | None:
        value = table.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self._wrong(f"[{where}] {key}", f"is a number, not {value!r}")
        if value is not None and not isfinite(value):
            raise self._wrong(f"[{where}] {key}", f"is a finite number, not {value}")
        return None if value is None else float(value)

    def _count(self, table: Mapping[str, Any], where: str, key: str) -> int | None:
        value = table.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise self._wrong(f"[{where}] {key}", f"is a whole number from 1 on, not {value!r}")
        return value
