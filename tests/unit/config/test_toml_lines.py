"""Lines of keys in a TOML text, and mistakes of a text by line."""

from __future__ import annotations

import time

import pytest

from regraft.infra.config.toml_lines import key_lines, line_of
from regraft.infra.files.recipes import recipe_mistakes

TEXT = '''name = "x"  # a comment with = and [
text = """
not = a key
[nor a table]
"""
list = [
  "]", # ]
  'it = is',
]
[source]
min_score = 1
"quoted key".inner = { a = 1, b = [2] }
[[rule]]
a = 1
[[rule]]
a = 2
[rule.deep]
z = 1
'''


def test_keys_and_tables_have_lines() -> None:
    assert key_lines(TEXT) == {
        ("name",): 1,
        ("text",): 2,
        ("list",): 6,
        ("source",): 10,
        ("source", "min_score"): 11,
        ("source", "quoted key"): 12,
        ("source", "quoted key", "inner"): 12,
        ("rule", 0): 13,
        ("rule", 0, "a"): 14,
        ("rule", 1): 15,
        ("rule", 1, "a"): 16,
        ("rule", 1, "deep"): 17,
        ("rule", 1, "deep", "z"): 18,
    }


def test_what_is_missing_is_at_what_should_hold_it() -> None:
    lines = key_lines(TEXT)
    assert line_of(("source", "labels", 3), lines) == 10
    assert line_of(("list", 1), lines) == 6
    assert line_of(("nothing",), lines) is None


@pytest.mark.parametrize("text", ["", "\ufeff", "=\n[\n]]\n.", 'a = "\\', "[[", "a.b.", '"' * 7, "a = '''"])
def test_rubbish_is_read_without_an_error(text: str) -> None:
    lines = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


def test_the_time_grows_with_the_length() -> None:
    def seconds(length: int) -> float:
        text = "a = [" + '"\\"", ' * length + "\n" + "[x" * length + "\n" + "b." * length
        began = time.process_time()
        key_lines(text)
        return time.process_time() - began

    seconds(1_000)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.005)


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ('name = "x"\nkind = \n', 2, "", "not valid TOML"),
        ('name = "x"\nkind = "sft"\n[source]\nmin_scor = 1\n', 4, "source.min_scor", "Did you mean source.min_score"),
        ('name = "x"\nkind = "sft"\n\n[source]\nmin_score = 2.0\n', 5, "source.min_score", "at most 1"),
        ('name = "X y"\nkind = "sft"\n', 1, "name", "lower-case"),
        ('kind = "sft"\n', None, "name", "is missing"),
        ('name = "x"\nkind = "sft"\n[splits]\ntrain = 0.5\n', 3, "", "must sum to 1"),
        ('name = "x"\nkind = "sft"\ntargets = ["llama"]\n', 3, "", "targets names"),
        ('name = "x"\nkind = "sft"\n[content]\nlearn = "models"\n', 3, "content", "learn_models"),
    ],
)
def test_mistakes_of_a_recipe_name_their_line(text: str, line: int | None, key: str, says: str) -> None:
    (found,) = recipe_mistakes(text)
    assert (found.line, found.key) == (line, key)
    assert says in found.message


def test_a_recipe_has_no_mistakes() -> None:
    assert recipe_mistakes('name = "x"\nkind = "sft"\n') == []
