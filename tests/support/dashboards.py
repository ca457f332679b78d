"""The dashboards as Grafana reads them: panels, and their queries with Grafana's variables and macros filled in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_FILTER = re.compile(r"\$__timeFilter\(([\w.]+)\)")
_RANGE = "1h"
# Columns that Grafana's node graph knows (`NodeGraphDataFrameFieldNames` of @grafana/data 13.2.3). It compares them in
# lower case, as PostgreSQL writes names without quotes.
NODE_COLUMNS = {
    *("id", "title", "subtitle", "mainstat", "secondarystat", "icon", "color", "noderadius", "highlighted"),
    *("fixedx", "fixedy", "isinstrumented"),
}
NODE_PREFIXES = ("arc__", "detail__")
EDGE_COLUMNS = {
    *("id", "source", "target", "mainstat", "secondarystat", "color", "thickness", "highlighted", "strokedasharray")
}
_FROM, _TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


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


def filled_sql(query: PanelQuery, since: datetime = _FROM, until: datetime = _TO, **variables: str) -> str:
    """The statement with variables as quoted texts, and the time range as Grafana's macros write it: a century."""
    low, high = since.isoformat(), until.isoformat()
    text = _VARIABLE.sub(lambda found: _quoted(variables[found.group(1)]), query.text)
    text = _FILTER.sub(rf"\1 BETWEEN '{low}' AND '{high}'", text)
    text = text.replace("$__timeFrom()", f"'{low}'").replace("$__timeTo()", f"'{high}'")
    assert "$" not in text, f"{query} has a variable or a macro that is not known"
    return text


def _quoted(value: str) -> str:
    """As Grafana's format `sqlstring`."""
    return "'" + value.replace("'", "''") + "'"
