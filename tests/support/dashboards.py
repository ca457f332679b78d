"""The dashboards as Grafana reads them: panels, and their queries with Grafana's variables and macros filled in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_FILTER = re.compile(r"\$__timeFilter\(([\w.]+)\)")
_RANGE = "1h"
_FROM, _TO = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelQuery:
    """One query of a panel, or of a variable. ``text`` is PromQL or SQL."""

    board: str
    panel: str
    ref: str
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.board}: {self.panel} {self.ref}"


def load(file: Path) -> dict[str, Any]:
    """A dashboard."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def queries(source: str) -> list[PanelQuery]:
    """All queries of panels and variables for a kind of data source, as they are stored."""
    found = []
    for file in FILES:
        board = load(file)
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                text = target.get("expr") or target.get("rawSql") or ""
                kind = target["datasource"]["type"]
                found.append(
                    PanelQuery(board=file.stem, panel=panel["title"], ref=target["refId"], source=kind, text=text)
                )
        for variable in board.get("templating", {}).get("list", ()):
            if variable["type"] == "query":
                kind = variable["datasource"]["type"]
                title = f"variable {variable['name']}"
                found.append(PanelQuery(board=file.stem, panel=title, ref="", source=kind, text=variable["query"]))
    return [each for each in found if each.source == source]


def filled_promql(query: PanelQuery, window: str = "5m") -> str:
    """The expression with the variables that dashboards use."""
    text = query.text.replace("$window", window).replace("$__range", _RANGE)
    assert "$" not in text, f"{query} has a variable that is not known"
    return text


def filled_sql(query: PanelQuery, **variables: str) -> str:
    """The statement with variables as quoted texts, and the time range as Grafana's macros write it: a century."""
    text = _VARIABLE.sub(lambda found: _quoted(variables[found.group(1)]), query.text)
    text = _FILTER.sub(rf"\1 BETWEEN '{_FROM}' AND '{_TO}'", text)
    text = text.replace("$__timeFrom()", f"'{_FROM}'").replace("$__timeTo()", f"'{_TO}'")
    assert "$" not in text, f"{query} has a variable or a macro that is not known"
    return text


def _quoted(value: str) -> str:
    """As Grafana's format `sqlstring`."""
    return "'" + value.replace("'", "''") + "'"
