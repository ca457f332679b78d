"""Near-duplicates of a frozen dataset, on Daft: a separate program, on one machine or on a Ray cluster.

It runs in an environment that holds Daft and none of Regraft's dependencies, whose versions exclude each other; of
Regraft it has the domain. It reads the Parquet files of an Iceberg snapshot and writes Parquet. Candidates are rows
whose MinHash signatures agree in a band (Broder 1997; Indyk and Motwani 1998); each is then compared exactly.

    python -m regraft.infra.daft.near_duplicates JOB.json
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import daft
from daft import DataType, col
from daft import functions as f

from regraft.domain.datasets.messages import MESSAGE_KEYS, Message
from regraft.domain.datasets.signature_bands import bands
from regraft.domain.datasets.words import runs, texts, words

RUN = 5  # words
# Of a band that many rows share each is compared with so many that follow: more would be quadratic.
FOLLOWING = 64
_BLANK = "\x1f"  # between the words of a run, because blanks separate the runs

_ROW = DataType.struct(
    {"texts": DataType.list(DataType.string()), "words": DataType.int64(), "characters": DataType.int64()}
)
_PAIR = DataType.struct({"first": DataType.uint64(), "second": DataType.uint64()})


@daft.func(return_dtype=_ROW, unnest=True)
def spoken(*lists: list[Message] | None) -> dict[str, Any]:
    """The words of each text of a row, joined by blanks; instructions left out."""
    said = [text for messages in lists for message in messages or () for text in _texts(message)]
    found = [words(text) for text in said]
    return {
        "texts": [" ".join(each) for each in found],
        "words": sum(map(len, found)),
        "characters": sum(map(len, said)),
    }


def _texts(stored: Message) -> Iterator[str]:
    message = {**dict.fromkeys(MESSAGE_KEYS), **stored}
    message["tool_calls"] = message["tool_calls"] or []
    return texts(message) if message["role"] not in ("system", "developer") else iter(())


@daft.func(return_dtype=DataType.string())
def tokens(said: list[str]) -> str:
    """The distinct runs of words of a row, as tokens with blanks between them."""
    return " ".join(run.replace(" ", _BLANK) for run in _runs(said))


@daft.func(return_dtype=DataType.float64())
def similarity(one: list[str], other: list[str]) -> float:
    """The share of common runs of words (Jaccard)."""
    first, second = _runs(one), _runs(other)
    common = len(first & second)
    return common / (len(first) + len(second) - common)


def _runs(said: list[str]) -> set[str]:
    return {run for text in said for run in runs(text.split(" "), RUN)} - {""}


@daft.func(return_dtype=DataType.list(_PAIR))
def candidates(members: list[int]) -> list[dict[str, int]]:
    """Pairs of rows of one band, whose numbers ascend."""
    return [
        {"first": row, "second": other}
        for place, row in enumerate(members)
        for other in members[place + 1 : place + 1 + FOLLOWING]
    ]


def near_duplicates(job: dict[str, Any]) -> dict[str, int]:
    """Write ``rows`` (a row each: lengths) and ``pairs`` (rows that are alike) below ``job["to"]``."""
    work, columns = job["to"].rstrip("/"), job["columns"]
    # A row's number is the same on every engine, whatever it reads first.
    daft.read_parquet(job["files"]).select(
        f.hash(col("row_id")).alias("number"),
        "row_id",
        "split",
        "label",
        "score",
        spoken(*(col(name) for name in columns)),
    ).write_parquet(f"{work}/texts", write_mode="overwrite")
    rows = daft.read_parquet(f"{work}/texts/**/*.parquet")
    rows.exclude("number", "texts").write_parquet(f"{work}/rows", write_mode="overwrite")

    count, width = bands(job["threshold"])
    signed = rows.where(col("words") > 0).select(
        "number", f.minhash(tokens(col("texts")), num_hashes=count * width, ngram_size=1).alias("signature")
    )
    keys = [f.hash(f.slice(col("signature"), at * width, (at + 1) * width), seed=at) for at in range(count)]
    shared = (
        signed.select("number", f.to_list(*keys).alias("band"))
        .explode("band")
        .groupby("band")
        .agg(col("number").list_agg_distinct().alias("members"))
        .where(f.list_count(col("members")) > 1)
        .select(f.list_sort(col("members")).alias("members"))
        .distinct()  # equal rows share every band
        .collect()
    )
    wide = shared.where(f.list_count(col("members")) > FOLLOWING + 1).count_rows()
    pairs = (
        shared.select(candidates(col("members")).alias("pair"))
        .explode("pair")
        .select(col("pair").get("first").alias("first"), col("pair").get("second").alias("second"))
        .distinct()
        .collect()
    )

    def side(name: str) -> daft.DataFrame:
        return rows.select(
            col("number").alias(name), col("row_id").alias(f"{name}_row"), col("texts").alias(f"{name}_texts")
        )

    pairs.join(side("first"), on="first").join(side("second"), on="second").select(
        col("first_row").alias("row_id"),
        col("second_row").alias("other_row_id"),
        similarity(col("first_texts"), col("second_texts")).alias("similarity"),
    ).where(col("similarity") >= job["threshold"]).write_parquet(f"{work}/pairs", write_mode="overwrite")
    return {"candidates": pairs.count_rows(), "bands": count, "rows_of_a_band": width, "wide_bands": wide}


@contextmanager
def runner(where: str) -> Iterator[None]:
    """Daft on this machine (``where`` is empty), on the Ray cluster at an address, or on ``local:N`` nodes here."""
    if not where:
        daft.set_runner_native()
        yield
        return
    local = where.startswith("local:")
    if not local and where != "auto":
        _reach(where)
    if local:  # Ray on loopback alone: a client that reaches a Ray cluster can run code on it.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    # The program's own source goes with the job: nodes of a cluster need Daft and nothing of Regraft.
    source = str(Path(__file__).parents[2])
    nodes = None
    if local:
        from ray.cluster_utils import Cluster

        own = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args=own)
        for _ in range(int(where.removeprefix("local:")) - 1):
            nodes.add_node(**own)
    try:
        ray.init(nodes.address if nodes else where, runtime_env={"py_modules": [source]}, log_to_driver=False)
        daft.set_runner_ray()
        yield
    finally:
        ray.shutdown()
        if nodes:
            nodes.shutdown()


def _reach(address: str) -> None:
    """End with a sentence where nothing listens: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 10).close()
    except (OSError, OverflowError) as error:
        sys.exit(f"No Ray cluster answers at {address}: {error}")


def main(path: Path) -> None:
    """Do the job that a file describes, and write what was done beside its results."""
    job = json.loads(path.read_text("utf-8"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nodes of ours are stopped
    with runner(job["ray"]):
        done = near_duplicates(job)
    path.with_name("done.json").write_text(json.dumps(done), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
