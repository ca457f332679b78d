"""Orchestrators and taskify rules as the settings name them; mistakes are told with the setting's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from regraft.domain.errors import ConfigError, NotFoundError
from regraft.domain.orchestration.orchestration import DEFAULT_SYNTHESIS
from regraft.infra.files.orchestrators import orchestrators
from regraft.infra.files.rules import rule_of, rules
from regraft.infra.settings import load_settings

TEAM = '[orchestrators.team]\nmodel = "big"\nworkers = { w = "small" }\n'
UPSTREAM = '[upstreams.main]\nbase_url = "http://127.0.0.1:1/v1"\n'


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text):
        Path("regraft.toml").write_text(text)
        return load_settings()

    return load


def test_an_orchestrator_takes_what_is_not_said_from_the_defaults(settings):
    (team,) = orchestrators(settings(UPSTREAM + TEAM), "tiny").values()
    assert (team.name, team.model, team.workers) == ("team", "big", {"w": "small"})
    assert (team.rule.name, team.synthesis, team.on_failure) == ("default", DEFAULT_SYNTHESIS, "continue")
    assert team.max_subtasks == 8


def test_without_upstreams_and_orchestrators_the_local_model_does_everything(settings):
    (local,) = orchestrators(settings(""), "tiny").values()
    assert (local.name, local.model, set(local.workers.values())) == ("local", "tiny", {"tiny"})
    assert orchestrators(settings(UPSTREAM), "tiny") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEAM + 'tools = ["files"]', "orchestrators.team.tools names 'files'"),
        (TEAM + 'rule = "nobody"', "orchestrators.team.rule: There is no taskify rule nobody. The rules are: default"),
        (UPSTREAM.replace("main", "orchestrator"), "No upstream can be named 'orchestrator'"),
    ],
)
def test_what_an_orchestrator_names_must_be_there(settings, text, said):
    with pytest.raises(ConfigError, match=said):
        orchestrators(settings(text), "tiny")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEAM + "retrys = 1", r"orchestrators.team.retrys is unknown. Did you mean orchestrators.team.retries\?"),
        ('[orchestrators.team]\nmodel = "big"\nworkers = {}', "orchestrators.team.workers"),
        (TEAM + 'on_failure = "explode"', "orchestrators.team.on_failure"),
        ('[rules.mine]\ninstructions = "x"\nrepair = "again"', "rules.mine.repair must contain {problems}"),
    ],
)
def test_a_section_with_a_mistake_is_refused(settings, text, said):
    with pytest.raises(ConfigError, match=said):
        settings(text)


def test_a_rule_of_ones_own_stands_beside_the_built_in_one_or_in_its_place(settings):
    mine = '[rules.mine]\ninstructions = "Split it."\nmax_subtasks = 2\n'
    found = rules(settings(mine))
    assert set(found) == {"default", "mine"}
    assert found["mine"].repair == found["default"].repair
    changed = rule_of(settings('[rules.default]\ninstructions = "Other words."'), "default")
    assert changed.version != found["default"].version
    with pytest.raises(NotFoundError, match="The rules are: default, mine"):
        rule_of(settings(mine), "yours")


def test_another_condition_of_an_orchestrator_is_another_build_of_it(settings):
    said = [TEAM, TEAM.replace("big", "huge"), TEAM + "max_tokens = 5", TEAM + 'synthesis = "Sum up."']
    assert len({orchestrators(settings(text), "tiny")["team"].pin for text in said}) == 4
    same = [TEAM, TEAM + "concurrency = 9"]
    assert len({orchestrators(settings(text), "tiny")["team"].pin for text in same}) == 1
