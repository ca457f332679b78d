"""One grammar over all commands: each rule is checked on the whole tree, so that a new command follows it too."""

from __future__ import annotations

import re

import pytest

from regraft.presentation.cli.grammar import (
    METAVARS,
    OF_COMMAND,
    command_tree,
    commands_of,
    takes_free_value,
    value_name,
)
from regraft.presentation.cli.main import app

TREE = command_tree(app)
COMMANDS = dict(commands_of(TREE))
ALL = [pytest.param(path, id=path or "regraft") for path in COMMANDS]
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]
OURS = {"install_completion", "show_completion"}  # options of typer itself

# What runs until it is stopped, hands its terminal to another program, or prints what another program reads as it is.
WITHOUT_JSON = {"up", "gateway", "ingest", "web", "metrics", "dagster", "db url", "db psql"}
OWN_WORDS_OF_JSON = {"open", "schema"}  # what --json prints there is not what else would be printed
LISTS = {
    *("sessions", "models", "pivots", "themes list", "plans list", "evaluate units", "evaluate pairs", "clusters list"),
    *("judges list", "dataset list", "quarantine list", "keys list", "web-token list"),
}
# Acts of a limited number of things, which ``--limit`` bounds: what is left is done by the next call.
ACTS = {"replay", "regenerate", "judges run"}
SHORT = {"-n": "limit", "-h": "help", "-y": "yes", "-d": "detach", "-s": "samples"}


VERBS = re.compile(
    r"(?:Add|Apply|Ask|Back|Check|Cluster|Compare|Create|Derive|Describe|Dismiss|Draw|Erase|Fill|Find|Fit|Follow|Import|"
    r"Label|List|Make|Mark|Measure|Name|Open|Pair|Place|Plan|Preview|Print|Rank|Rate|Re-run|Rebuild|Record|Remove|Rename|"
    r"Reopen|Restore|Retry|Revoke|Run|Say|Select|Serve|Show|Start|Stop|Store|Train|Turn|Update|Upgrade|Withdraw|"
    r"Write)[ ,]"
)


def parameters(path):
    return [each for each in COMMANDS[path].params if each.name not in OURS]


def options(path):
    return {value_name(each): each for each in parameters(path) if each.param_type_name == "option"}


@pytest.mark.parametrize("path", ALL)
def test_every_command_says_in_a_sentence_what_it_does(path):
    said = (COMMANDS[path].help or "").strip()
    first = said.split("\n\n")[0]
    assert re.match(r"[A-Z][a-z-]+[ ,]", first), first
    assert first.endswith("."), first
    assert "  " not in first.replace("\n", " ")
    assert path not in LEAVES or VERBS.match(first), "a command begins with a verb: add it if it is one"


@pytest.mark.parametrize("path", ALL)
def test_every_value_is_explained(path):
    for each in parameters(path):
        assert each.help, value_name(each)
        assert each.help.endswith("."), each.help
        assert re.match(r"[A-Z`0-9@]|a, b|sft", each.help), each.help


@pytest.mark.parametrize("path", ALL)
def test_every_value_has_the_word_of_the_grammar(path):
    for each in parameters(path):
        if takes_free_value(each):
            name = value_name(each)
            assert each.metavar == OF_COMMAND.get((path, name), METAVARS.get(name)), name
            assert re.fullmatch(r"[A-Z][A-Z-]*", each.metavar), name


def test_the_grammar_has_no_words_that_nothing_asks_for():
    asked = {value_name(each) for path in COMMANDS for each in parameters(path)}
    assert set(METAVARS) <= asked
    assert all(name in {value_name(each) for each in parameters(path)} for path, name in OF_COMMAND)


@pytest.mark.parametrize("path", ALL)
def test_a_letter_means_the_same_everywhere(path):
    for name, each in options(path).items():
        for letter in (one for one in each.opts if not one.startswith("--")):
            assert SHORT.get(letter) == name, (letter, name)


@pytest.mark.parametrize("path", ALL)
def test_a_switch_that_is_off_has_no_second_name_for_off(path):
    for name, each in options(path).items():
        if each.is_flag and each.default is False:
            assert not each.secondary_opts, name


@pytest.mark.parametrize("path", LEAVES)
def test_a_limit_is_the_same_everywhere(path):
    limit = options(path).get("limit")
    if limit is not None:
        assert "-n" in limit.opts
        assert (limit.min, limit.default is None) == (0, False)
        assert limit.help.endswith("0 for all.")
        assert path in ACTS or limit.help == "How many to show; 0 for all."


@pytest.mark.parametrize("path", LEAVES)
def test_what_prints_prints_json_too(path):
    json = options(path).get("json")
    assert (json is None) == (path in WITHOUT_JSON or path == "label"), path
    if json is not None and path not in OWN_WORDS_OF_JSON:
        assert json.help == "Print JSON."


@pytest.mark.parametrize("path", sorted(LISTS))
def test_a_list_is_bounded_and_sorted_either_way(path):
    found = options(path)
    assert {"limit", "sort", "reverse", "json"} <= set(found)
    assert found["sort"].help.startswith("Column to sort by")


def test_every_command_called_list_is_a_list():
    assert {path for path in LEAVES if path.endswith(" list")} <= LISTS | {"categories list"}


@pytest.mark.parametrize("path", LEAVES)
def test_a_thing_is_named_the_same_way_wherever_it_is_asked_for(path):
    words = {"NODE": "id or start of an id", "SNAPSHOT": "id, start of an id", "PLAN": "id or start of an id"}
    for each in parameters(path):
        if each.param_type_name == "argument" and each.metavar in words and each.required:
            assert words[each.metavar] in each.help, (path, each.help)
    session = options(path).get("session")
    if session is not None and path != "orchestrate":
        assert "id, start of an id, or name" in session.help


@pytest.mark.parametrize("letters", ["-h", "--help"])
@pytest.mark.parametrize("path", ALL)
def test_help_fits_a_terminal_of_sixty_columns(path, letters, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERMINAL_WIDTH", "60")
    with pytest.raises(SystemExit) as leaving:
        TREE([*path.split(), letters], prog_name="regraft")
    shown = capsys.readouterr().out
    assert leaving.value.code == 0
    assert "Usage: regraft" in shown
    assert max(map(len, shown.splitlines())) <= 60
    assert "<bool>" not in shown
    assert "<str>" not in shown


@pytest.mark.parametrize("path", LEAVES)
def test_a_wrong_option_is_one_clear_refusal(path, capsys):
    if path == "db psql":
        pytest.skip("gives all it gets to psql")
    with pytest.raises(SystemExit) as leaving:
        TREE([*path.split(), "--no-such-option"], prog_name="regraft")
    said = capsys.readouterr().err
    assert leaving.value.code == 2
    assert "No such option: --no-such-option" in said
    assert "Traceback" not in said
