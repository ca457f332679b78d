"""The components of a request that a replay may change, and the differences between two requests.

The kind of a branch follows from the difference: the first of taskify > prompt > tool > model > sampling that changed
names it, and ``config`` lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regraft.domain.ids import Digest, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """A request, cut into what may be varied. ``tools`` and ``sampling`` are the JSON objects that were sent."""

    model: str
    sampling: Mapping[str, Any]
    tools: Mapping[str, Any]
    tools_id: Digest
    system: Digest
    user: Digest
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind`` is the branch kind, ``config`` has the old and new values, ``reason`` describes it in words."""

    kind: str
    config: dict[str, Any]
    reason: str


def difference(old: Components, new: Components) -> Difference:
    """The changes from ``old`` to ``new``."""
    config: dict[str, Any] = {}
    kinds: list[str] = []
    words: list[str] = []
    if old.plan != new.plan:
        config["taskify"] = {"from": old.plan or None, "to": new.plan or None}
        kinds.append("taskify_variant")
        words.append("the plan")
    prompt = {name: True for name in ("system", "user") if getattr(old, name) != getattr(new, name)}
    if prompt:
        config["prompt"] = prompt
        kinds.append("prompt_variant")
        words.extend({"system": "the system prompt", "user": "the user's words"}[name] for name in prompt)
    if old.tools_id != new.tools_id:
        config["tools"] = _tool_changes(old.tools, new.tools)
        kinds.append("tool_variant")
        words.append("the tools")
    if old.model != new.model:
        config["model"] = {"from": old.model, "to": new.model}
        kinds.append("model_variant")
        words.append(f"the model ({old.model} to {new.model})")
    changed = _changes(old.sampling, new.sampling)
    if changed:
        config["sampling"] = changed
        kinds.append("sampling_variant")
        words.append("sampling (" + ", ".join(_change_in_words(*item) for item in changed.items()) + ")")
    if not kinds:
        return Difference("retry", {}, "the same request, asked again")
    return Difference(kinds[0], config, "changed " + ", ".join(words))


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    changed = {}
    for key in sorted({*old, *new}):
        before, after = plain(old.get(key)), plain(new.get(key))
        if before != after:
            changed[key] = {"from": before, "to": after}
    return changed


def _change_in_words(key: str, change: Mapping[str, Any]) -> str:
    before, after = ("unset" if value is None else str(value)[:40] for value in (change["from"], change["to"]))
    return f"{key} {before} to {after}"


def tool_names(tools: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions of a request's tools by name."""
    named: dict[str, Any] = {}
    for key in ("tools", "functions"):
        definitions = tools.get(key)
        for definition in definitions if isinstance(definitions, list) else []:
            if isinstance(definition, Mapping):
                function = definition.get("function", definition)
                name = function.get("name") if isinstance(function, Mapping) else None
                named[name if isinstance(name, str) else str(definition.get("type"))] = definition
    return named


def _tool_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    before, after = tool_names(old), tool_names(new)
    changes = {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        "settings": sorted(
            key for key in ({*old, *new} - {"tools", "functions"}) if plain(old.get(key)) != plain(new.get(key))
        ),
    }
    return {key: value for key, value in changes.items() if value}


VERSION = "version:"  # before what a server calls the version of its model


def served_build(rest: Mapping[str, Any]) -> str:
    """What an answer says of the build that gave it: its ``system_fingerprint``, else the version of the model that
    some servers name (Gemini ``modelVersion``, SGLang ``metadata.weight_version``), marked as one. Empty: nothing."""
    if fingerprint := _said(rest.get("system_fingerprint")):
        return fingerprint
    metadata = rest.get("metadata")
    weights = metadata.get("weight_version") if isinstance(metadata, Mapping) else None
    found = (_said(each) for each in (rest.get("model_version"), rest.get("modelVersion"), weights))
    version = next((each for each in found if each), "")
    return VERSION + version if version else ""


def _said(value: Any) -> str:
    return value if isinstance(value, str) and value.strip() else ""


def model_snapshot(model: str, build: str, pin: str) -> str:
    """The model's name and what pins it: the upstream's configured pin, else the build that the answer reports (see
    ``served_build``), else the name alone. The local model is pinned by the digest of its file and its runtime."""
    pinned = pin or build
    return f"{model}@{pinned}" if pinned else model
