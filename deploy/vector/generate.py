"""Write ``vector.yaml`` from the table of metrics: ``python deploy/vector/generate.py [--check]``.

The facts of the stream become metrics in one program in Vector's Remap Language, so that Vector and ``regraft metrics``
give the same series. Histograms are made there too: ``log_to_metric`` alone would use one list of buckets for all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import indent

from regraft.infra.nats.fact_stream import STREAM, SUBJECT, VECTOR
from regraft.infra.telemetry.fact_metrics import (
    FACT_METRICS,
    GEN_AI_SECONDS,
    GEN_AI_TOKENS,
    LONG_SECONDS,
    SCORES,
    FactMetric,
)
from regraft.infra.telemetry.facts import FACTS, Fact

CONFIG = Path(__file__).parent / "vector.yaml"
_NAMESPACES = ("gen_ai", "regraft")
_BOUNDS = {GEN_AI_SECONDS: "gen_ai_seconds", GEN_AI_TOKENS: "gen_ai_tokens", LONG_SECONDS: "seconds", SCORES: "scores"}

_TEMPLATE = """\
# Written by generate.py from the table of metrics: change that table, not this file.
#
# Vector reads the stream of facts and serves their series to Prometheus on port 9598. `regraft metrics` gives the same
# series: run one of the two (`regraft metrics --no-facts` beside Vector). The services are scraped by Prometheus
# itself, so that their metrics do not depend on Vector.
#
# Needs Vector 0.50 or newer: its `nats` source reads JetStream since then. Regraft makes the stream and the consumer.
# No value is taken from the environment, which Vector does not put in by default since 0.57.
data_dir: /var/lib/vector
api:
  enabled: true
  address: 127.0.0.1:8686
secret:
  files:
    type: directory
    path: /run/secrets
    remove_trailing_whitespace: true
sources:
  facts:
    type: nats
    url: nats://nats:4222
    connection_name: vector
    subject: {subject}.>
    auth:
      strategy: token
      token:
        value: SECRET[files.nats_token]
    jetstream:
      stream: {stream}
      consumer: {consumer}
      batch_config:
        batch: 64
        max_bytes: 8388608
    # A pack is lines of JSON.
    framing:
      method: newline_delimited
    decoding:
      codec: json
transforms:
  series_of_facts:
    type: remap
    inputs: [facts]
    # A fact that is not what this program expects gives no series; it goes to the output `dropped`.
    drop_on_error: true
    drop_on_abort: true
    reroute_dropped: true
    source: |
{source}
  metrics:
    type: log_to_metric
    inputs: [series_of_facts]
    all_metrics: true
    metrics: []
  # Regraft bounds its labels itself; this holds whatever else publishes to the stream.
  bounded:
    type: tag_cardinality_limit
    inputs: [metrics]
    mode: exact
    value_limit: 200
    limit_exceeded_action: drop_tag
sinks:
  prometheus:
    type: prometheus_exporter
    inputs: [bounded]
    address: 0.0.0.0:9598
    # A series that is quiet for longer is forgotten: its counter would start again at 0.
    flush_period_secs: 31536000
    suppress_timestamp: true
  refused_facts:
    type: console
    inputs: [series_of_facts.dropped]
    target: stderr
    encoding:
      codec: json
tests:
{tests}"""

_PROGRAM_END = """\
series = []
for_each(counters) -> |_index, one| {
  series = push(series, {
    "namespace": one.namespace, "name": one.name, "kind": "incremental", "tags": one.tags,
    "counter": {"value": to_float!(one.value)}
  })
}
for_each(histograms) -> |_index, one| {
  value = to_float!(one.value)
  found = false
  buckets = []
  for_each(array!(one.bounds)) -> |_position, bound| {
    limit = to_float!(bound)
    count = 0
    if !found && value <= limit {
      count = 1
      found = true
    }
    buckets = push(buckets, {"upper_limit": limit, "count": count})
  }
  series = push(series, {
    "namespace": one.namespace, "name": one.name, "kind": "incremental", "tags": one.tags,
    "histogram": {"buckets": buckets, "count": 1, "sum": value}
  })
}
. = series
"""


def program() -> str:
    """The program in Vector's Remap Language: a fact in, its series out."""
    lines = ["fact = string!(.fact)", "counters = []", "histograms = []"]
    lines += [f"{name} = [{', '.join(map(str, bounds))}]" for bounds, name in _BOUNDS.items()]
    for fact in FACTS:
        metrics = [each for each in FACT_METRICS if each.fact is fact]
        lines.append(f'if fact == "{fact.name()}" {{')
        for metric in metrics:
            lines += [f"  {line}" for line in _series(metric)]
        lines.append("}")
    return "\n".join(lines) + "\n" + _PROGRAM_END


def _series(metric: FactMetric) -> list[str]:
    namespace, name = _split(metric.name)
    tags = [f'"{label}": string!(.{field})' for label, field in metric.labels.items()]
    tags += [f'"{label}": "{value}"' for label, value in metric.constants.items()]
    value = f"to_float!(.{metric.value})" if metric.value else "1.0"
    kind = f"{metric.kind}s"
    bounds = f', "bounds": {_BOUNDS[metric.buckets]}' if metric.buckets else ""
    lines = [
        f"{kind} = push({kind}, {{",
        f'  "namespace": "{namespace}", "name": "{name}",',
        f'  "value": {value}{bounds},',
        f'  "tags": {{{", ".join(tags)}}}',
        "})",
    ]
    if metric.value and _may_be_null(metric.fact, metric.value):
        return [f"if !is_nullish(.{metric.value}) {{", *(f"  {line}" for line in lines), "}"]
    return lines


def _may_be_null(fact: type[Fact], field: str) -> bool:
    return "None" in str(fact.__annotations__[field])


def _split(name: str) -> tuple[str, str]:
    """Namespace and name, which Vector joins with an underscore."""
    namespace = next(each for each in _NAMESPACES if name.startswith(f"{each}_"))
    return namespace, name.removeprefix(f"{namespace}_")


def _tests() -> str:
    """One test of Vector's own (``vector test``) for each series."""
    made = []
    for fact in FACTS:
        fields = "\n".join(f"          {name}: {value}" for name, value in _example(fact).items())
        conditions = []
        for metric in (each for each in FACT_METRICS if each.fact is fact):
            namespace, name = _split(metric.name)
            kept = f'.namespace == "{namespace}" && .name == "{name}" && .kind == "incremental"'
            for label, value in metric.constants.items():
                kept += f' && .tags.{label} == "{value}"'
            conditions.append(
                f"      - extract_from: series_of_facts\n        conditions:\n          - type: vrl\n"
                f"            source: '{kept}'"
            )
        made.append(
            f"  - name: {fact.name()}\n    inputs:\n      - insert_at: series_of_facts\n        type: log\n"
            f"        log_fields:\n{fields}\n    outputs:\n" + "\n".join(conditions)
        )
    return "\n".join(made) + "\n"


def _example(fact: type[Fact]) -> dict[str, object]:
    """A fact in which every field has a value."""
    values: dict[str, object] = {"fact": fact.name(), "at": 1700000000.5}
    for name, kind in fact.__annotations__.items():
        values[name] = f"a_{name}" if "str" in str(kind) else 1 if "int" in str(kind) else 0.75
    return values


def config() -> str:
    """The whole file."""
    return _TEMPLATE.format(
        subject=SUBJECT, stream=STREAM, consumer=VECTOR, source=indent(program(), " " * 6).rstrip(), tests=_tests()
    )


def main() -> int:
    """Write the file, or say whether it is up to date."""
    if "--check" in sys.argv[1:]:
        if not CONFIG.exists() or CONFIG.read_text("utf-8") != config():
            print(f"{CONFIG} is not what the table of metrics gives: run deploy/vector/generate.py")
            return 1
        return 0
    CONFIG.write_text(config(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
