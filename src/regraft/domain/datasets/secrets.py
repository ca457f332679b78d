"""Secrets in texts: keys of known providers, private keys, tokens, and passwords in addresses and assignments.

Every pattern begins with a literal or a boundary and has bounded parts, so that a search is linear in a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be replaced: ``kind`` is a word such as API_KEY, ``start`` and ``end`` are places in the text."""

    kind: str
    start: int
    end: int


_PROVIDERS = (
    r"sk-(?:ant-|proj-|svcacct-|admin-|or-v1-|lf-)?[A-Za-z0-9_-]{20,256}",  # OpenAI, Anthropic, OpenRouter, ...
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,256}",  # Stripe
    r"whsec_[A-Za-z0-9+/=]{24,128}",
    r"gh[oprsu]_[A-Za-z0-9]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{36,255}",
    r"gl(?:pat|dt|rt|cbt|ptt|soat)-[A-Za-z0-9_.-]{20,128}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,256}",  # Slack
    r"xapp-[A-Za-z0-9-]{20,256}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"ya29\.[A-Za-z0-9_-]{20,2048}",
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"hf_[A-Za-z0-9]{30,128}",  # Hugging Face
    r"gsk_[A-Za-z0-9]{40,128}",  # Groq
    r"xai-[A-Za-z0-9]{40,128}",
    r"pplx-[A-Za-z0-9]{40,128}",
    r"nvapi-[A-Za-z0-9_-]{40,128}",
    r"r8_[A-Za-z0-9]{36,64}",  # Replicate
    r"rg[kw]_[A-Za-z0-9_-]{40,64}",  # Regraft
    r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}",  # SendGrid
    r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}",
    r"key-[0-9a-f]{32}",  # Mailgun
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,512}",
    r"do[oprt]_v1_[a-f0-9]{64}",  # DigitalOcean
    r"dckr_pat_[A-Za-z0-9_-]{27,64}",
    r"dapi[a-f0-9]{32}",  # Databricks
    r"hv[bsr]\.[A-Za-z0-9_-]{24,256}",  # Vault
    r"tskey-[a-z]{2,16}-[A-Za-z0-9-]{16,128}",
    r"lin_api_[A-Za-z0-9]{40}",
    r"ntn_[A-Za-z0-9]{40,64}",
    r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",  # Shopify
    r"sbp_[a-f0-9]{40}",
    r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}",  # Grafana
    r"dp\.(?:pt|st|ct)\.[A-Za-z0-9._-]{40,128}",  # Doppler
    r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.-]{32,64}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram
)
_NAME = (
    r"pass(?:word|wd|phrase)|pwd|secret|(?:client|app|shared|signing)[_-]?secret|(?:api|access|account|secret|private|auth|"
    r"encryption|signing)[_-]?key|(?:auth|access|refresh|api|bearer|session|secret|security)[_-]?token"
)
_SECRET_NAME = re.compile(rf"(?:[a-z0-9_.-]{{0,64}}[_.-])?(?:{_NAME})", re.IGNORECASE)
_PLAIN = r"[A-Za-z0-9!@#%^&*_+=./~:?-]"
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "PRIVATE_KEY",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]*(?:-(?!----)[^-]*)*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)"
        ),
    ),
    ("TOKEN", re.compile(r"(?<![A-Za-z0-9_])eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,2048}")),
    ("TOKEN", re.compile(r"https://hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{16,128})")),
    ("TOKEN", re.compile(r"https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks/([0-9]{16,20}/[\w-]{60,90})")),
    (
        "TOKEN",
        re.compile(r"(?<![A-Za-z])(?:Bearer|bearer|Basic|basic)[ \t]{1,4}((?=[^\s\d]{0,256}\d)[\w.~+/-]{16,4096}=*)"),
    ),
    ("PASSWORD", re.compile(r"://[^\s/:@'\"<>]{0,256}:([^\s/'\"<>]{1,256})@(?=[\w\[])")),
    (
        "PASSWORD",
        re.compile(
            rf"(?i:(?:{_NAME}))[\"']?[ \t]{{0,4}}[:=][ \t]{{0,4}}"
            rf"(?:\"([^\"\n<>]{{4,512}})\"|'([^'\n<>]{{4,512}})'"
            rf"|((?={_PLAIN}{{0,256}}\d)(?={_PLAIN}{{0,256}}[A-Za-z]){_PLAIN}{{6,512}}))"
        ),
    ),
)
_EXAMPLE = re.compile(r"[*xX.•_-]+")  # blanked out by its author


def _beginnings(pattern: str) -> tuple[str, ...]:
    """What a key of a provider may begin with, without what varies: to pass over texts that cannot hold one."""
    plain = re.match(r"(?:[A-Za-z0-9_-]|\\\.)*", pattern)
    literal = plain.group().replace("\\", "") if plain else ""
    if len(literal) > 1:
        return (literal,)
    return {"(?:sk": ("_live_", "_test_"), "(?:AK": ("AKIA", "ASIA", "ABIA", "ACCA"), "[0-9]": (":AA",)}[pattern[:5]]


_KEYS = tuple((_beginnings(each), re.compile(rf"(?<![A-Za-z0-9_]){each}(?![A-Za-z0-9])")) for each in _PROVIDERS)
# By pattern, in their order: what a text holds, in small letters, where the pattern can match at all.
_HINTS = (
    ("private key",),
    ("eyj",),
    ("hooks.slack.com",),
    ("/api/webhooks/",),
    ("bearer", "basic"),
    ("://",),
    ("pass", "pwd", "secret", "key", "token"),
)


def find_secrets(text: str) -> Iterator[Finding]:
    """The secrets in a text. They may overlap."""
    small = text.lower()
    for (kind, pattern), hints in zip(_PATTERNS, _HINTS, strict=True):
        if any(hint in small for hint in hints):
            yield from _matches(kind, pattern, text)
    for beginnings, pattern in _KEYS:
        if any(beginning in text for beginning in beginnings):
            yield from _matches("API_KEY", pattern, text)


def _matches(kind: str, pattern: re.Pattern[str], text: str) -> Iterator[Finding]:
    for match in pattern.finditer(text):
        start, end = match.span(match.lastindex or 0)
        if not _EXAMPLE.fullmatch(text, start, end):
            yield Finding(kind, start, end)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, as ``password`` and ``api_key`` do."""
    return len(name) <= 80 and _SECRET_NAME.fullmatch(name) is not None
