"""The configuration of Prometheus, its rules and its alerts, as Prometheus itself reads them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.prometheus import program

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "deploy" / "prometheus"
RUNBOOK = "docs/how-to/operate.md"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def _rules(name: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / name).read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


ALERTS, RECORDS = _rules("alerts.yml"), _rules("rules.yml")


def _promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_the_configuration_and_its_rules():
    _promtool("check", "config", "prometheus.yml")
    _promtool("check", "rules", "rules.yml", "alerts.yml")


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_rules_give_what_their_tests_expect(file):
    _promtool("test", "rules", f"tests/{file.name}")


def test_every_alert_is_tested_while_it_fires_and_while_it_does_not():
    fires, silent = set(), set()
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            names = {each["alertname"] for each in test.get("alert_rule_test", ())}
            for each in test.get("alert_rule_test", ()):
                (fires if each["exp_alerts"] else silent).add(each["alertname"])
            # Where a series beside the one that fires is expected not to, the list of what fires shows it.
            silent |= {name for name in names if len(test["input_series"]) > 1}
    assert {rule["alert"] for rule in ALERTS} == fires
    assert fires <= silent


def test_every_recorded_figure_is_tested():
    tested = " ".join(file.read_text() for file in TESTS)
    assert {rule["record"] for rule in RECORDS if rule["record"] not in tested} == set()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(rule):
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"{RUNBOOK}#{rule['alert'].lower()}"
    section = re.search(rf"^### {rule['alert']}\n\n(.+?)(?=^#|\Z)", (REPOSITORY / RUNBOOK).read_text(), re.M | re.S)
    assert section, f"{RUNBOOK} has no heading {rule['alert']} with words below it"


def test_the_runbook_has_no_alert_that_does_not_exist():
    written = re.findall(r"^### (Regraft\w+)$", (REPOSITORY / RUNBOOK).read_text(), re.M)
    assert written == [rule["alert"] for rule in ALERTS]


def test_targets_of_one_machine_are_on_loopback_and_those_of_containers_have_the_same_jobs():
    here, there = (yaml.safe_load((FOLDER / name).read_text()) for name in ("targets.yml", "targets.compose.yml"))
    jobs = {f"regraft-{name}" for name in ("gateway", "web", "metrics", "ingest", "vector")}
    assert {group["labels"]["job"] for group in here} == {group["labels"]["job"] for group in there} == jobs
    assert all(target.startswith("127.0.0.1:") for group in here for target in group["targets"])
    ports = [
        {group["labels"]["job"]: group["targets"][0].partition(":")[2] for group in each} for each in (here, there)
    ]
    assert ports[0] == ports[1]


def test_commands_of_the_runbook_exist():
    runbook = (REPOSITORY / RUNBOOK).read_text().partition("\n## Alerts\n")[2]
    known = set(re.findall(r"^#+ `regraft ([\w -]+)`$", (REPOSITORY / "docs/reference/cli.md").read_text(), re.M))
    named = {" ".join(found.split()) for found in re.findall(r"`regraft\s([\w -]+?)(?:\s--[\w-]+)?`", runbook)}
    assert {"quarantine retry", "judges calibrate"} <= named
    assert named <= known, named - known
