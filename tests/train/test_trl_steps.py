"""Real trainers on frozen datasets: an export and the Iceberg snapshot in place, two steps each, on a tiny model."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("torch") is None and os.environ.get("CI") != "true":
    pytest.skip("torch is not installed: run `make test-train`", allow_module_level=True)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import trl
from datasets import load_dataset
from pyiceberg.catalog import load_catalog
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM, Qwen2ForSequenceClassification

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.features import features_yaml
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.formats.trl import from_stored
from regraft.domain.datasets.rows import Row
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import Frozen, freeze
from regraft.infra.iceberg.snapshots import catalog_properties
from regraft.infra.postgres.pool import transaction
from support.rows import TOOLS, calls, row, says
from support.small_graph import SmallGraph, every_kind, many_choices
from support.tiny_model import tiny_config, tiny_tokenizer

pytestmark = pytest.mark.filterwarnings("default")

RECIPES = {
    "sft": 'name = "train-sft"\nkind = "sft"\n[splits]\ntrain = 0.8\nvalidation = 0.2\n',
    "dpo": 'name = "train-dpo"\nkind = "dpo"\n[source]\nlabels = ["human", "signals"]\n'
    "[select]\nper_context = 0\n[splits]\ntrain = 0.8\nvalidation = 0.2\n",
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Callable[[], Qwen2ForCausalLM]:
    # From a folder, because DPO loads its reference model from where the policy came from.
    Qwen2ForCausalLM(tiny_config(tokenizer)).save_pretrained(tmp_path / "model")
    return lambda: Qwen2ForCausalLM.from_pretrained(tmp_path / "model")


@pytest.fixture
def frozen(truth: str, tmp_path: Path) -> Callable[[str], Frozen]:
    with transaction(truth) as connection:
        graph = SmallGraph(connection)
        every_kind(graph)
        many_choices(graph, 20)
    return lambda kind: freeze(
        RECIPES[kind], dsn=truth, workbench=tmp_path / "workbench.duckdb", warehouse=str(tmp_path / "warehouse")
    )


def common(folder: Path) -> dict[str, Any]:
    """Two steps, nothing saved, on the CPU."""
    return {
        "output_dir": str(folder),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "max_length": 1024,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def settings(kind: str, folder: Path) -> Any:
    """The settings of the trainer of a kind."""
    return (
        trl.SFTConfig(**common(folder), assistant_only_loss=True) if kind == "sft" else trl.DPOConfig(**common(folder))
    )


def train(
    kind: str, rows: Any, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> list[float]:
    """The losses of two real steps."""
    trainer = (trl.SFTTrainer if kind == "sft" else trl.DPOTrainer)(
        model=model, args=settings(kind, folder), train_dataset=rows, processing_class=tokenizer
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def exported(snapshot: Frozen, truth: str, tmp_path: Path) -> Any:
    folder = tmp_path / "export"
    export(snapshot.snapshot_id, folder, dsn=truth, warehouse=str(tmp_path / "warehouse"))
    return load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_trainer_takes_two_steps_on_an_export(
    kind: str,
    frozen: Callable[[str], Frozen],
    truth: str,
    tmp_path: Path,
    model: Callable[[], Qwen2ForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    snapshot = frozen(kind)
    dataset = exported(snapshot, truth, tmp_path)
    assert {split: len(dataset[split]) for split in dataset} == dict(snapshot.row_counts)
    losses = train(kind, dataset["train"], model(), tokenizer, tmp_path / "run")
    assert len(losses) == 2
    assert all(loss == loss and loss > 0 for loss in losses)


def test_a_loader_gives_back_each_calls_own_arguments(
    frozen: Callable[[str], Frozen], truth: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    dataset = exported(frozen("sft"), truth, tmp_path)
    rows = [row for split in dataset.values() for row in split if row["tools"]]
    texts = [
        tokenizer.apply_chat_template(row["messages"], tools=json.loads(row["tools"]), tokenize=False) for row in rows
    ]
    told = [text for text in texts if "oslo.txt" in text]
    assert told
    assert '{"name": "weather", "arguments": {"city": "Oslo"}}' in told[0]
    assert '{"name": "read", "arguments": {"path": "oslo.txt", "lines": 3}}' in told[0]


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_trainer_takes_two_steps_on_the_snapshot_in_place(
    kind: str,
    frozen: Callable[[str], Frozen],
    truth: str,
    tmp_path: Path,
    model: Callable[[], Qwen2ForCausalLM],
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # load_dataset walks through the working directory first, whatever it is asked for
    snapshot = frozen(kind)
    columns = ["messages", "tools"] if kind == "sft" else ["prompt", "chosen", "rejected", "tools"]
    catalog = load_catalog("regraft", **catalog_properties(truth, str(tmp_path / "warehouse")))
    rows = load_dataset(
        "iceberg",
        catalog=catalog,
        table=snapshot.iceberg_table,
        snapshot_id=snapshot.iceberg_snapshot_id,
        filters="split == 'train'",
        columns=columns,
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    catalog.engine.dispose()
    assert len(rows) == snapshot.row_counts["train"]
    assert set(rows.column_names) == set(columns)
    rows = rows.map(from_stored)
    if kind == "sft":
        told = [row for row in rows if row["tools"] and len(row["messages"]) > 2]
        assert told
        for row in told:
            text = tokenizer.apply_chat_template(row["messages"], tools=json.loads(row["tools"]), tokenize=False)
            assert '"arguments": {' in text
            assert '"arguments": "' not in text, "arguments were quoted twice"
    losses = train(kind, rows, model(), tokenizer, tmp_path / "run")
    assert len(losses) == 2


def written(folder: Path, rows: list[Row]) -> Any:
    """Rows of one kind as an export holds them, loaded by the card."""
    folder.mkdir()
    lines = [write_row(FORMATS["trl"], one) for one in rows]
    assert all(isinstance(line, str) for line in lines), lines
    (folder / "train.jsonl").write_text("\n".join(map(str, lines)) + "\n", "utf-8")
    types = features_yaml(FORMATS["trl"].features(rows[0].kind, last_only=False), "  ")
    (folder / "README.md").write_text(f"---\ndataset_info:\n  features:\n{types}\n---\n", "utf-8")
    return load_dataset(str(folder), cache_dir=str(folder.parent / "cache"), split="train")


PROMPTS = [(says("user", f"What is {number} plus one?"),) for number in range(6)]


def test_kto_takes_two_steps_on_rows_of_suppression(
    tmp_path: Path, model: Callable[[], Qwen2ForCausalLM], tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = [
        row("suppression", prompt=prompt, completion=says("assistant", text), label=label)
        for prompt in PROMPTS
        for text, label in (("It is more.", "true"), ("maybe", "false"))
    ]
    rows += [row("suppression", prompt=PROMPTS[0], completion=calls('{"city": "Oslo"}'), tools=TOOLS, label="true")]
    settings_of = trl.KTOConfig(**common(tmp_path / "run"))
    trainer = trl.KTOTrainer(
        model=model(),
        args=settings_of,
        train_dataset=written(tmp_path / "out", rows),
        processing_class=tokenizer,
    )
    trainer.train()
    assert len([entry for entry in trainer.state.log_history if "loss" in entry]) == 2


def test_a_reward_model_takes_two_steps_on_pairs(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [
        row(
            "reward",
            prompt=prompt,
            chosen=says("assistant", "It is more."),
            rejected=calls('{"city": "Oslo"}'),
            tools=TOOLS,
        )
        for prompt in PROMPTS
    ]
    model = Qwen2ForSequenceClassification(tiny_config(tokenizer, num_labels=1))
    trainer = trl.RewardTrainer(
        model=model,
        args=trl.RewardConfig(**common(tmp_path / "run")),
        train_dataset=written(tmp_path / "out", rows),
        processing_class=tokenizer,
    )
    trainer.train()
    assert len([entry for entry in trainer.state.log_history if "loss" in entry]) == 2
