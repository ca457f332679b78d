"""What panels ask: expressions of Prometheus, and named queries of the ``.sql`` files beside the modules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog import builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="regraft-prometheus")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="regraft-postgres")
_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def fact_rate(metric: str, *by: str, window: str = "$window") -> str:
    """The rate of a counter of facts. `regraft metrics` and Vector may both count them: the larger job counts."""
    labels = ", ".join(by)
    return f"max by ({labels}) (sum by (job{', ' if by else ''}{labels}) (rate({metric}[{window}])))"


def fact_quantile(quantile: float, metric: str, *by: str) -> str:
    """A quantile of a histogram of facts, which may be counted by several jobs; nothing where nothing was observed."""
    return f"histogram_quantile({quantile}, {fact_rate(f'{metric}_bucket', 'le', *by)}) >= 0"


def quantile_of(quantile: float, metric: str, *by: str) -> str:
    """A quantile of a histogram that processes serve themselves; nothing where nothing was observed."""
    return f"histogram_quantile({quantile}, sum by ({', '.join(('le', *by))}) (rate({metric}_bucket[$window]))) >= 0"


def ask(expression: str, legend: str = "", *, ref: str = "A", now: bool = False) -> prometheus.Dataquery:
    """An expression over the time range, or ``now``: its value at the end of the range, as a table."""
    query = prometheus.Dataquery().expr(expression).ref_id(ref).datasource(PROMETHEUS)
    if legend:
        query = query.legend_format(legend)
    return query.instant().format(PromQueryFormat.TABLE) if now else query.range()


class _SqlQuery(Dataquery):
    """A query as Grafana's data source for PostgreSQL stores it. The SDK has no type of its own for it."""

    def __init__(self, text: str, ref: str, shape: str) -> None:
        self.text, self.ref_id, self.shape = text, ref, shape

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self.ref_id,
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": self.shape,
            "rawQuery": True,
            "rawSql": self.text,
        }


class Sql(builder.Builder[Any]):
    """The query NAME of ``BOARD.sql``. ``shape``: `table`, or `time_series` with a column `time`."""

    def __init__(self, board: str, name: str, *, ref: str = "A", shape: str = "table") -> None:
        self._query = _SqlQuery(named(board)[name], ref, shape)

    def build(self) -> _SqlQuery:
        return self._query


@cache
def named(board: str) -> dict[str, str]:
    """The queries of ``BOARD.sql`` by name: a line `-- name:`, a line of description, and the statement."""
    text = Path(__file__).with_name(f"{board}.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    return {name: statement.strip() for name, statement in zip(parts[::2], parts[1::2], strict=True)}
