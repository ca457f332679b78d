"""Side calls of clients: titles, tags, follow-up questions, quota checks, topic detection.

They are recognised by rules, which are data (``side_calls.toml``, and a config's): literal texts only, searched at the
beginning and the end of a text, so that reading a call is linear in its length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from regraft.domain.capture.request import Request

SIDE = "side"
_PREFIX = "side:"
_HEAD, _TAIL = 16_000, 4_000  # characters of a text that are searched, from its beginning and its end
INSTRUCTING = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCallRule:
    """All conditions that are given must hold. Texts are compared without regard to case.

    ``*_starts`` and ``user_is``: any of these texts begins, or is, one part of what the system prompt or the last
    message, if it is the user's, says. ``*_has``: any of these lists, of which every text must occur. ``user_lacks``:
    none of these may occur. ``max_tokens`` and ``messages``: at most this many, system prompts not counted. ``models``
    and ``headers`` are globs. ``tools``: whether tools were offered.
    """

    name: str
    purpose: str
    system_starts: tuple[str, ...] = ()
    system_has: tuple[tuple[str, ...], ...] = ()
    user_is: tuple[str, ...] = ()
    user_starts: tuple[str, ...] = ()
    user_has: tuple[tuple[str, ...], ...] = ()
    user_lacks: tuple[str, ...] = ()
    max_tokens: int | None = None
    messages: int | None = None
    tools: bool | None = None
    models: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class SideCallRules:
    """Rules in the order in which they are tried, made ready to be applied to many calls."""

    def __init__(self, rules: Iterable[SideCallRule]) -> None:
        self._rules = tuple(rules)
        self._user_is = frozenset(text for rule in self._rules for text in rule.user_is)
        self._user_starts = tuple(text for rule in self._rules for text in rule.user_starts)
        self._few = max((rule.messages or 0 for rule in self._rules), default=0)
        # By what is known of a call at once: few rules are left for an ordinary one.
        self._left = {
            said: tuple(rule for rule in self._rules if not _asks_system(rule) and _may_meet(rule, *said))
            for said in product((False, True), repeat=4)
        }

    def purpose(self, headers: Mapping[str, str], request: Request) -> str | None:
        """``side:PURPOSE`` of the first rule that the call meets; None: it is part of a conversation."""
        messages = request.messages
        prompts = 0
        while prompts < len(messages) and _role(messages[prompts]) in INSTRUCTING:
            prompts += 1
        by_user = len(messages) > prompts and _role(messages[-1]) == "user"
        met = self.met_by_system(messages[:prompts])
        return self.purpose_under(met, headers, request, prompts=prompts, by_user=by_user)

    def met_by_system(self, prompts: Iterable[Any]) -> frozenset[str]:
        """The names of the rules whose conditions on the system prompts, the first messages of a call, are met.

        Takes time with their length, and gives the same for each call of a conversation.
        """
        parts = [part for message in prompts for part in _texts(message)]
        whole = "\n".join(parts)
        return frozenset(
            rule.name
            for rule in self._rules
            if _asks_system(rule)
            and (not rule.system_starts or _starts(parts, rule.system_starts))
            and (not rule.system_has or _has(whole, rule.system_has))
        )

    def purpose_under(
        self, met: frozenset[str], headers: Mapping[str, str], request: Request, *, prompts: int, by_user: bool
    ) -> str | None:
        """The purpose, given the rules that the system prompts meet (``met_by_system``), the number of system prompts,
        and whether the last message is the user's."""
        count = len(request.messages) - prompts
        if not count and not prompts:
            return None
        user = _texts(request.messages[-1]) if by_user else []
        whole = "\n".join(user)
        said = (
            count <= self._few,
            bool(user),
            bool(user) and user[-1].strip() in self._user_is,
            bool(user) and _starts(user, self._user_starts),
        )
        left = self._left[said]
        if met:
            left = tuple(rule for rule in self._rules if rule.name in met or not _asks_system(rule))
        for rule in left:
            if (
                (rule.messages is None or count <= rule.messages)
                and (not rule.user_is or bool(user and user[-1].strip() in rule.user_is))
                and (not rule.user_starts or _starts(user, rule.user_starts))
                and (not rule.user_has or _has(whole, rule.user_has))
                and _fits(rule, headers, request)
                and not any(text in part for text in rule.user_lacks for part in user)
            ):
                return _PREFIX + rule.purpose
        return None


def is_side_call(purpose: str) -> bool:
    """Whether a stored purpose is one that a rule gave."""
    return purpose.startswith(_PREFIX)


def _asks_system(rule: SideCallRule) -> bool:
    return bool(rule.system_starts or rule.system_has)


def _may_meet(rule: SideCallRule, few: bool, user: bool, user_is: bool, user_starts: bool) -> bool:
    """Whether a call can meet a rule: of few messages, with a last one by the user that is, or begins with, a text of
    some rule."""
    return (
        (few or rule.messages is None)
        and (user or not (rule.user_is or rule.user_starts or rule.user_has))
        and (user_is or not rule.user_is)
        and (user_starts or not rule.user_starts)
    )


def _fits(rule: SideCallRule, headers: Mapping[str, str], request: Request) -> bool:
    return (
        (rule.max_tokens is None or _at_most(request, rule.max_tokens))
        and (rule.tools is None or rule.tools == bool(request.tools.get("tools") or request.tools.get("functions")))
        and (not rule.models or any(fnmatchcase(request.model, glob) for glob in rule.models))
        and all(fnmatchcase(headers.get(name.lower(), ""), glob) for name, glob in rule.headers)
    )


def _starts(parts: Sequence[str], texts: tuple[str, ...]) -> bool:
    return any(part.lstrip().startswith(texts) for part in parts)


def _has(whole: str, wanted: Sequence[tuple[str, ...]]) -> bool:
    return any(all(text in whole for text in texts) for texts in wanted)


def _at_most(request: Request, most: int) -> bool:
    limits = [request.sampling.get(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    given = [each for each in limits if isinstance(each, int) and not isinstance(each, bool)]
    return bool(given) and min(given) <= most


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    return role if isinstance(role, str) else ""


def _texts(message: Any) -> list[str]:
    """The texts of a message, part by part."""
    content = message.get("content") if isinstance(message, Mapping) else None
    texts: list[Any] = [content]
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    return [_searched(text) for text in texts if isinstance(text, str)]


def _searched(text: str) -> str:
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    return text.lower()
