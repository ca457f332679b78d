"""Filters of recipes for legal rows: near-duplicates, evaluation prompts, lengths."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.datasets.recipe import Filters
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.words import runs, words
from regraft.domain.errors import ConfigError
from regraft.flows.datasets.filters import RowFilters
from regraft.infra.text.minhash_index import MinHashIndex
from support.row_conversations import conversation, grows_linearly, message

VOCABULARY = [f"word{number}" for number in range(2_000)]
QUESTION = "Which of the following planets has the shortest year of all planets in our solar system"


def text(seed: int, length: int = 120) -> str:
    return " ".join(random.Random(seed).choices(VOCABULARY, k=length))


def changed(said: str, every: int) -> str:
    return " ".join("other" if number % every == every - 1 else word for number, word in enumerate(said.split()))


def outcome(filters: RowFilters, row: Row) -> str:
    checked = filters.check(row)
    return checked.reason if isinstance(checked, RowRefusal) else "kept"


def test_words_are_compared_without_case_punctuation_and_encoding_of_accents() -> None:
    assert words("The  CAFÉ's menu_item, straße!") == words("the cafe\u0301 s MENU item STRASSE")
    assert words("東京は") == ["東", "京", "は"]
    assert list(runs(["a", "b", "c"], 2)) == ["a b", "b c"]
    assert list(runs(["a"], 2)) == ["a"]
    assert list(runs([], 2)) == []


def test_the_better_ranked_of_two_near_duplicates_stays() -> None:
    filters = RowFilters(Filters(near_duplicates=0.8), Path())
    best = conversation("best", "Tell me.", text(1))
    assert outcome(filters, best) == "kept"
    found = filters.check(conversation("copy", "Tell me.", changed(text(1), 115)))
    assert isinstance(found, RowRefusal)
    assert (found.reason, found.detail.split()[:2]) == ("near_duplicate", ["resembles", "best"])
    assert outcome(filters, conversation("else", "Tell me.", text(2))) == "kept"
    figures = filters.report()["near_duplicates"]
    assert isinstance(figures, dict)
    assert (figures["threshold"], figures["refused"], figures["links"]) == (0.8, 1, 0)


def test_a_common_system_prompt_makes_no_duplicates() -> None:
    filters = RowFilters(Filters(near_duplicates=0.8), Path())
    system = message("system", text(0, 2_000))
    for number in range(5):
        said = (message("user", text(2 * number + 1)), message("assistant", text(2 * number + 2)))
        assert outcome(filters, conversation(str(number), system, *said)) == "kept"
    assert filters.links() == []


def test_rows_that_are_only_alike_are_kept_in_one_split() -> None:
    filters = RowFilters(Filters(near_duplicates=0.95), Path())
    rows = [
        conversation("a", text(1)),
        conversation("b", text(2)),
        conversation("c", changed(text(1), 40)),
        conversation("d", changed(text(1), 39)),
    ]
    assert [outcome(filters, row) for row in rows] == ["kept"] * 4
    joined = {0}
    for row, other in filters.links():
        joined |= {row, other}
    assert joined == {0, 2, 3}
    assert len(filters.links()) == 2


def test_opposite_labels_are_no_duplicates() -> None:
    filters = RowFilters(Filters(near_duplicates=0.8), Path())
    assert outcome(filters, conversation("a", text(1), label="true")) == "kept"
    assert outcome(filters, conversation("b", text(1) + " end", label="false")) == "kept"
    assert outcome(filters, conversation("c", text(1) + " end", label="true")) == "near_duplicate"
    assert filters.links() == [(1, 0)]


def test_rows_without_words_are_compared_with_none() -> None:
    filters = RowFilters(Filters(near_duplicates=0.8), Path())
    assert [outcome(filters, conversation(one, "?", "!")) for one in "ab"] == ["kept", "kept"]


def test_an_index_finds_the_same_before_and_after_it_grows() -> None:
    index = MinHashIndex()
    signatures = [index.signature(list(runs(text(number, 30), 5))) for number in range(3_000)]
    for signature in signatures:
        index.add(signature)
    for number in (0, 1, 1_023, 1_024, 2_999):
        assert index.resembling(signatures[number], 0.9) == [(number, 1.0)]


def test_the_time_of_a_comparison_does_not_grow_with_how_many_are_alike() -> None:
    def fill(count: int) -> None:
        filters = RowFilters(Filters(near_duplicates=1.0), Path())
        for number in range(count):
            assert outcome(filters, conversation(str(number), f"{said} {text(number, 14)}")) == "kept"

    said = text(1, 40)
    assert grows_linearly(fill, 150)


@pytest.fixture
def prompts(tmp_path: Path) -> Callable[[str, str], str]:
    def write(name: str, content: str) -> str:
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


def test_a_row_that_holds_words_of_an_evaluation_prompt_is_refused(prompts: Callable[[str, str], str]) -> None:
    lines = [{"id": 1, "question": text(5, 30), "choices": ["a", "b"]}, {"nested": {"q": [QUESTION]}}]
    name = prompts("exam.jsonl", "\n".join(map(json.dumps, lines)))
    filters = RowFilters(Filters(decontaminate=(name,)), Path())
    leaked = conversation("a", "Please answer:\n" + QUESTION.upper().replace(" ", "\n  ") + "?!", "Mercury")
    found = filters.check(leaked)
    assert isinstance(found, RowRefusal)
    assert (found.reason, found.detail) == ("contaminated", f"shares 13 words with {name} line 2")
    assert outcome(filters, conversation("b", "Which planet has the shortest year?", "Mercury")) == "kept"
    asked = {"type": "function", "id": "1", "function": {"name": "ask", "arguments": json.dumps({"q": QUESTION})}}
    assert outcome(filters, conversation("c", "Go.", message("assistant", None, tool_calls=[asked]))) == "contaminated"
    report = filters.report()["decontamination"]
    digest = sha256(Path(name).read_bytes()).hexdigest()
    figures = {"sha256": digest, "prompts": 4, "too_short_to_compare": 2, "rows": 2, "rows_by_line": {"2": 2}}
    assert report == {"ngram": 13, "files": {name: figures}}
    assert QUESTION not in json.dumps(filters.report())


def test_short_prompts_are_looked_for_as_a_whole_and_plain_text_has_one_to_a_line(
    prompts: Callable[[str, str], str],
) -> None:
    name = prompts("exam.txt", "What is the capital of the French Republic?\n\n{not json\nToo short.\n")
    filters = RowFilters(Filters(decontaminate=(name,)), Path())
    leaked = "Tell me, what is the capital of the French Republic today?"
    assert outcome(filters, conversation("a", leaked)) == "contaminated"
    assert outcome(filters, conversation("b", "Tell me the capital of the French Republic. Too short.")) == "kept"


def test_a_document_of_prompts_and_a_smaller_run(prompts: Callable[[str, str], str]) -> None:
    name = prompts("exam.json", json.dumps([{"q": "one two"}, {"q": "three four five six"}], indent=1))
    filters = RowFilters(Filters(decontaminate=(name,), ngram=3), Path())
    assert outcome(filters, conversation("a", "four five six")) == "contaminated"
    assert outcome(filters, conversation("b", "one two four")) == "kept"


def test_a_missing_file_of_prompts_is_a_mistake_of_the_recipe(tmp_path: Path) -> None:
    filters = RowFilters(Filters(decontaminate=(str(tmp_path / "none.jsonl"),)), Path())
    row = conversation("a", "x")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        filters.check(row)
    assert filters.replaced(row) == row


def test_decontamination_is_linear_in_a_text(prompts: Callable[[str, str], str]) -> None:
    filters = RowFilters(Filters(decontaminate=(prompts("exam.txt", QUESTION),)), Path())
    assert grows_linearly(lambda size: filters.check(conversation("a", "which of the following " * size)), 3_000)


@pytest.mark.parametrize(("tokenizer", "tokens"), [("cl100k", 2), ("o200k", 2), ("llama3", 2), ("qwen", 2)])
def test_tokens_are_counted_by_a_named_tokenizer(tokenizer: str, tokens: int) -> None:
    filters = RowFilters(Filters(tokenizer=tokenizer), Path())
    assert outcome(filters, conversation("a", "hello world", "hello world")) == "kept"
    figures = filters.report()["tokens"]
    assert isinstance(figures, dict)
    assert (figures["sum"], figures["tokenizer"]) == (2 * tokens, tokenizer)


def test_rows_outside_the_limits_are_refused_and_the_others_measured() -> None:
    filters = RowFilters(Filters(tokenizer="o200k", min_tokens=2, max_tokens=6), Path())
    said = ["hello", "hello world", "hello world " * 4, "hello world hello", "hello world hello world"]
    assert [outcome(filters, conversation(one, one)) for one in said] == [
        "too_short",
        "kept",
        "too_long",
        "kept",
        "kept",
    ]
    figures = {"rows": 3, "sum": 9, "min": 2, "median": 3, "p95": 3, "max": 4}
    assert filters.report() == {"tokens": {"tokenizer": "o200k", **figures}}


def test_a_pair_is_as_long_as_its_prompt_and_its_longer_side() -> None:
    filters = RowFilters(Filters(tokenizer="o200k"), Path())
    prompt, short, long = (
        (message("user", "hello world"),),
        (message("assistant", "hello"),),
        (message("assistant", "hello world"),),
    )
    pair = Row(row_id="p", kind="dpo", session_id="s", sources=(), prompt=prompt, chosen=short, rejected=long)
    assert outcome(filters, pair) == "kept"
    figures = filters.report()["tokens"]
    assert isinstance(figures, dict)
    assert figures["sum"] == 4


def test_a_tokenizer_may_be_a_file(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = Whitespace()
    made.enable_truncation(2)
    made.save(str(tmp_path / "tokenizer.json"))
    filters = RowFilters(Filters(tokenizer=str(tmp_path / "tokenizer.json"), max_tokens=4), Path())
    assert outcome(filters, conversation("a", "a b c a")) == "kept"
    assert outcome(filters, conversation("b", "a b c a b")) == "too_long"
    (tmp_path / "tokenizer.json").write_text("{}")
    broken = RowFilters(Filters(tokenizer=str(tmp_path / "tokenizer.json")), Path())
    with pytest.raises(ConfigError, match="cannot be read"):
        broken.check(conversation("a", "a"))


def test_an_unknown_tokenizer_is_a_mistake_of_the_recipe() -> None:
    with pytest.raises(ConfigError, match=r"name one of cl100k, o200k, llama3, qwen, or a tokenizer\.json file"):
        RowFilters(Filters(tokenizer="gpt2"), None).check(conversation("a", "x"))


@pytest.mark.parametrize("unit", ["a", "hello ", "\n", "語"])
def test_counting_tokens_is_linear_in_a_text(unit: str) -> None:
    filters = RowFilters(Filters(tokenizer="o200k"), Path())
    filters.check(conversation("a", "x"))
    assert grows_linearly(lambda size: filters.check(conversation("a", unit * size)), 200_000)
