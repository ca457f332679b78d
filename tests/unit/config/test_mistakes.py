"""A mistake in a file that a user writes is reported with the key's path, the problem, and the allowed values."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, SecretStr

from regraft.domain.errors import ConfigError
from regraft.infra.config.document import parse_document, read_toml
from regraft.infra.config.section import FileSection
from regraft.infra.settings import load_settings


class Fruit(FileSection):
    color: Literal["green", "yellow"] = Field("green", description="its color")
    weight: float = Field(1.0, ge=0, description="grams")


class Basket(FileSection):
    name: str = Field(min_length=1, description="what it is called")
    main: Fruit | None = Field(None, description="the fruit on top")
    fruits: list[Fruit] = Field([], description="the fruits")
    by_label: dict[str, Fruit] = Field({}, description="fruits by label")
    from_: str = Field("", alias="from", description="the shop")
    pin: SecretStr = Field(SecretStr(""), description="the secret")


def told(text):
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "basket.toml", Basket)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nam = 'a'\nname = 'x'", "nam is unknown. Did you mean name?"),
        ("name = 'x'\nfrmo = 'x'", "frmo is unknown. Did you mean from?"),
        ("name = 'x'\n[main]\nzzz = 1", "main.zzz is unknown. Known: color, weight."),
        (
            "name = 'x'\n[[fruits]]\n[[fruits]]\nweigth = 1",
            "fruits[1].weigth is unknown. Did you mean fruits[1].weight?",
        ),
        ("name = 'x'\n[by_label.'gpt-4.1']\nweight = -1", 'by_label."gpt-4.1".weight must be at least 0, not -1.'),
        ("name = 'x'\nmain = 3", "main must be a table: write [main], not 3."),
        (
            "name = 'x'\nmain.color = 'gren'",
            "main.color must be 'green' or 'yellow', not 'gren'. Did you mean 'green'?",
        ),
        ("name = 'x'\nmain.weight = nan", "main.weight must be a finite number, not nan."),
        ("name = 'x'\nmain.weight = true", "main.weight must be a number, not true."),
        ("name = 'x'\nmain.weight = '1'", "main.weight must be a number, not '1'."),
        ("name = ''", "name must not be empty."),
        ("from = 'x'", "name is missing: what it is called."),
        ("name = 'x'\npin = 1234", "pin must be text."),
    ],
)
def test_a_mistake_is_one_line_with_the_path_of_its_key(text, line):
    assert told(text) == [f"basket.toml: {line}"]


def test_each_mistake_has_a_line_of_its_own():
    assert told("name = 3\nfruits = 4") == [
        "basket.toml: name must be text, not 3.",
        "basket.toml: fruits must be a list, not 4.",
    ]


def test_a_long_value_is_shown_by_its_beginning():
    (line,) = told(f"name = 'x'\nmain.color = '{'y' * 100_000}'")
    assert len(line) < 200


@pytest.mark.parametrize("text", ["name = ", "x = " + "[" * 100_000, "x = " + "9" * 10_000])
def test_text_that_is_no_toml_is_refused_by_the_name_of_its_file(text):
    (line,) = told(text)
    assert line.startswith("basket.toml is not valid TOML: ")


def test_a_file_that_lacks_or_is_no_text_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"bytes\.toml is not UTF-8 text"):
        read_toml(tmp_path / "bytes.toml")


def test_a_wrong_secret_in_the_settings_is_not_shown(tmp_path):
    (tmp_path / "regraft.toml").write_text("[web]\ntoken = 'hush-hush'\n")
    with pytest.raises(ConfigError, match=r"web\.token must have at least 16") as caught:
        load_settings(tmp_path / "regraft.toml")
    assert "hush" not in str(caught.value)
