"""The dashboards: as they are generated, as Grafana's types describe them, and as their data sources answer."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from regraft.infra.telemetry.fact_metrics import FACT_METRICS
from regraft.infra.telemetry.metrics import DEFINITIONS
from regraft.infra.telemetry.store_gauges import STORE_GAUGES
from support.dashboard_schema import dashboard_schema, panel_schemas
from support.dashboards import FILES, FOLDER, load, queries
from support.page_addresses import patterns

REPOSITORY = Path(__file__).parents[3]
PROMETHEUS, POSTGRES = "prometheus", "grafana-postgresql-datasource"
_METRIC = re.compile(r"\b((?:regraft|gen_ai_client|process|python)_\w+|up|ALERTS)\b(?!\s*[:=!~])")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Of a whole dashboard."""
    return dashboard_schema()


def _faults(schema: dict[str, Any], board: dict[str, Any]) -> list[str]:
    """What is wrong with a dashboard, each panel compared with the schema of its kind."""
    kinds = panel_schemas(schema)
    found = []
    for panel in board["panels"]:
        faults = Draft7Validator(kinds[panel["type"]]).iter_errors(panel)
        found += [f"{panel['title']}: {'/'.join(map(str, each.absolute_path))}: {each.message}" for each in faults]
    frame = {**board, "panels": []}
    return found + [each.message for each in Draft7Validator(schema).iter_errors(frame)]


def test_the_files_are_what_the_generator_writes():
    done = subprocess.run(
        [sys.executable, str(FOLDER / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_six():
    boards = [load(file) for file in FILES]
    assert {board["uid"] for board in boards} == {f"regraft-{file.stem}" for file in FILES}
    assert len(boards) == 6


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_grafanas_types_accept_it(file: Path, schema: dict[str, Any]):
    assert _faults(schema, load(file)) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda panel: panel["options"].update(colourMode="value"), "colourMode"),
        (lambda panel: panel["options"].update(colorMode="rainbow"), "rainbow"),
        (lambda panel: panel["fieldConfig"]["defaults"].update(units="s"), "units"),
        (lambda panel: panel["targets"][0].update(query="up"), "query"),
        (lambda panel: panel.update(gridPosition={}), "gridPosition"),
    ],
)
def test_grafanas_types_refuse_what_they_do_not_know(schema: dict[str, Any], change: Any, word: str):
    board = copy.deepcopy(load(FOLDER / "dashboards" / "live.json"))
    change(board["panels"][0])
    assert any(word in fault for fault in _faults(schema, board))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_fill_the_page_without_covering_one_another(file: Path):
    cells = Counter(
        (x, y)
        for place in (panel["gridPos"] for panel in load(file)["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert set(cells.values()) == {1}
    assert max(x for x, _ in cells) == 23
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows_and_asks_a_source_that_is_provisioned(file: Path):
    provisioned = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "regraft.yml").read_text())["datasources"]
    known = {(each["type"], each["uid"]) for each in provisioned}
    for panel in load(file)["panels"]:
        if panel["type"] == "text":
            continue
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert {(each["datasource"]["type"], each["datasource"]["uid"]) for each in panel["targets"]} <= known
        assert panel["datasource"] == panel["targets"][0]["datasource"]
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])


def test_the_five_figures_that_matter_come_first():
    board = load(FOLDER / "dashboards" / "live.json")
    first = [panel["title"] for panel in board["panels"] if panel["gridPos"]["y"] == 0]
    assert first == ["Calls a minute", "Duration, p95", "Failed calls", "Not captured", "Ingest lag"]


def _served() -> set[str]:
    """Every name of a sample that processes of Regraft serve, but for the suffixes of histograms."""
    counted = {f"{each.name}_total" if each.kind == "counter" else each.name for each in DEFINITIONS}
    named = {each.name for each in (*FACT_METRICS, *STORE_GAUGES)}
    process = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up", "ALERTS"}
    return counted | named | process


def _asked(expression: str) -> set[str]:
    """The metrics that an expression names, without those of recorded figures and of labels."""
    bare = re.sub(r"regraft:\w+:\w+", "", re.sub(r'"[^"]*"', "", expression))
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    return {_SUFFIX.sub("", name) if name not in _served() else name for name in _METRIC.findall(bare)}


def test_dashboards_ask_for_metrics_that_are_served():
    asked = {name for query in queries(PROMETHEUS) for name in _asked(query.text)}
    assert "regraft_gateway_overhead_seconds" in asked
    assert asked <= _served(), asked - _served()


def test_rules_and_alerts_ask_for_metrics_that_are_served():
    asked = set()
    for name in ("rules.yml", "alerts.yml"):
        document = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / name).read_text())
        asked |= {found for group in document["groups"] for rule in group["rules"] for found in _asked(rule["expr"])}
    assert "regraft_stream_oldest_seconds" in asked
    assert asked <= _served(), asked - _served()


def test_recorded_figures_that_dashboards_ask_for_are_recorded():
    document = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "rules.yml").read_text())
    recorded = {rule["record"] for group in document["groups"] for rule in group["rules"]}
    asked = {name for query in queries(PROMETHEUS) for name in re.findall(r"regraft:\w+:\w+", query.text)}
    assert asked
    assert asked <= recorded


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_variables_that_a_dashboard_uses_are_its_own_and_all_are_used(file: Path):
    board = load(file)
    own = {variable["name"] for variable in board.get("templating", {}).get("list", ())}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board["panels"])))
    assert used == own


def test_links_lead_to_dashboards_and_pages_that_exist():
    found = set()
    for file in FILES:
        found |= set(re.findall(r'"url": "([^"]+)"', json.dumps(load(file)["panels"])))
        found |= set(re.findall(r"\]\((\$\{web\}[^)]+)\)", json.dumps(load(file)["panels"])))
    boards = {load(file)["uid"] for file in FILES}
    pages = {re.sub(r":\w+", "ID", pattern) for pattern in patterns()}
    assert found
    for url in found:
        path = re.sub(r"\$\{(?!web)[^}]*\}", "ID", url).partition("?")[0]
        if path.startswith("${web}"):
            assert path.removeprefix("${web}") in pages, url
        else:
            assert path.removeprefix("/d/") in boards, url
