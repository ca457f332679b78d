"""Group ``training_datasets``: materialised manually only. A snapshot's id is a digest of what it holds, known only
once it is frozen, so a freeze cannot be a partition that is chosen beforehand: the datasets are configured by the path
of a recipe. Each freeze then adds its snapshot to the partitions of the registry, where materialising a snapshot means
to prove it again from its bytes and from the log.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    Config,
    DagsterInstance,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
)
from pydantic import Field

from regraft.domain.errors import UsageError
from regraft.presentation.dagster.partitions import SNAPSHOTS
from regraft.presentation.dagster.resources import Servers, regraft_failures

if TYPE_CHECKING:
    from regraft.flows.datasets.freeze import Frozen
    from regraft.flows.datasets.ranking import RankCounts

GROUP = "training_datasets"


class RecipeConfig(Config):
    """Which dataset to freeze."""

    recipe: str = Field(description="path of a recipe, e.g. recipes/demo-sft.toml")


def snapshot_event(frozen: "Frozen") -> AssetMaterialization:
    """A frozen snapshot as an event of the registry."""
    return AssetMaterialization(
        "dataset_snapshot_registry",
        partition=frozen.snapshot_id,
        metadata={
            "rows": sum(frozen.row_counts.values()),
            "refused": sum(frozen.refused.values()),
            "kind": frozen.kind,
            "content_hash": frozen.content_hash,
            "build": frozen.lineage_build,
        },
    )


def add_snapshot_partitions(instance: DagsterInstance, snapshot_ids: list[str]) -> None:
    """Add snapshots to the partitions of the registry; those that are there stay."""
    assert SNAPSHOTS.name
    instance.add_dynamic_partitions(SNAPSHOTS.name, snapshot_ids)


def _recipe_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe {path} cannot be read: {error}.") from error


def _rank(servers: Servers, path: Path) -> "RankCounts":
    from regraft.flows.datasets.ranking import rank_trajectories
    from regraft.infra.files.recipes import parse_recipe

    with regraft_failures():
        recipe = parse_recipe(_recipe_text(path), str(path))
        return rank_trajectories(recipe, servers.dsn, servers.workbench)


def _table(name: str, counts: Mapping[str, int]) -> str:
    rows = (f"| {key.replace('|', ' ') or 'none'} | {count} |" for key, count in sorted(counts.items()))
    return "\n".join([f"| {name} | count |", "|---|---|", *rows])


def _freeze(context: AssetExecutionContext, servers: Servers, path: Path, *kinds: str) -> MaterializeResult[None]:
    from regraft.flows.datasets.freeze import freeze
    from regraft.infra.files.recipes import parse_recipe

    with regraft_failures():
        text = _recipe_text(path)
        recipe = parse_recipe(text, str(path))
        if recipe.kind not in kinds:
            raise UsageError(f"The recipe {path} is of kind {recipe.kind}, this asset makes {' and '.join(kinds)}.")
        frozen = freeze(text, dsn=servers.dsn, workbench=servers.workbench, warehouse=servers.warehouse)
    add_snapshot_partitions(context.instance, [frozen.snapshot_id])
    context.log_event(snapshot_event(frozen))
    return MaterializeResult(
        metadata={
            "snapshot": frozen.snapshot_id,
            "new": frozen.created,
            "rows": sum(frozen.row_counts.values()),
            "refused": sum(frozen.refused.values()),
            "build": frozen.lineage_build,
        }
    )


@asset(deps=["trajectory_units", "human_eval_labels"], group_name=GROUP, kinds={"duckdb"})
def positive_topk_trajectories(
    context: AssetExecutionContext, config: RecipeConfig, servers: Servers
) -> MaterializeResult[None]:
    """The best trajectories of each stratum of a recipe, with the parts of their scores."""
    counts = _rank(servers, Path(config.recipe))
    return MaterializeResult(
        metadata={
            "trajectories": sum(counts.positives.values()),
            "strata": MetadataValue.md(_table("stratum", counts.positives)),
            "refused": MetadataValue.md(_table("reason", counts.refused)),
            "build": counts.build,
        }
    )


@asset(deps=["candidate_preference_pairs", "human_eval_labels"], group_name=GROUP, kinds={"duckdb"})
def negative_bottomk_trajectories(
    context: AssetExecutionContext, config: RecipeConfig, servers: Servers
) -> MaterializeResult[None]:
    """The worst trajectories of each stratum of a recipe, typed, with the evidence of what is wrong with each."""
    counts = _rank(servers, Path(config.recipe))
    return MaterializeResult(
        metadata={
            "trajectories": sum(counts.negatives.values()),
            "strata": MetadataValue.md(_table("stratum", counts.negatives)),
            "types": MetadataValue.md(_table("type", counts.types)),
            "build": counts.build,
        }
    )


@asset(deps=["positive_topk_trajectories"], group_name=GROUP, kinds={"iceberg"})
def sft_messages_dataset(
    context: AssetExecutionContext, config: RecipeConfig, servers: Servers
) -> MaterializeResult[None]:
    """Conversations to imitate, frozen from a recipe."""
    return _freeze(context, servers, Path(config.recipe), "sft")


@asset(
    deps=["candidate_preference_pairs", "preference_labels", "negative_bottomk_trajectories"],
    group_name=GROUP,
    kinds={"iceberg"},
)
def dpo_preference_dataset(
    context: AssetExecutionContext, config: RecipeConfig, servers: Servers
) -> MaterializeResult[None]:
    """Answers to prefer and to avoid, frozen from a recipe; rows for reward models are of this form, too."""
    return _freeze(context, servers, Path(config.recipe), "dpo", "reward")


@asset(deps=["positive_topk_trajectories", "negative_bottomk_trajectories"], group_name=GROUP, kinds={"iceberg"})
def suppression_dataset(
    context: AssetExecutionContext, config: RecipeConfig, servers: Servers
) -> MaterializeResult[None]:
    """Answers that are wanted and answers that are not, frozen from a recipe."""
    return _freeze(context, servers, Path(config.recipe), "suppression")


@asset(deps=["positive_topk_trajectories", "negative_bottomk_trajectories"], group_name=GROUP, kinds={"iceberg"})
def unlearning_dataset(
    context: AssetExecutionContext, config: RecipeConfig, servers: Servers
) -> MaterializeResult[None]:
    """Rows for a model to forget and rows to retain, frozen from a recipe."""
    return _freeze(context, servers, Path(config.recipe), "unlearning")


@asset(
    deps=["sft_messages_dataset", "dpo_preference_dataset", "suppression_dataset", "unlearning_dataset"],
    partitions_def=SNAPSHOTS,
    group_name=GROUP,
    kinds={"postgres", "iceberg"},
)
def dataset_snapshot_registry(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Prove a frozen snapshot: its content hash from its bytes, its rows from the execution log."""
    from regraft.flows.datasets.verify import verify

    with regraft_failures():
        proof = verify(context.partition_key, dsn=servers.dsn, warehouse=servers.warehouse, workbench=servers.workbench)
    if not proof.ok:
        raise Failure(description=f"{proof.snapshot_id}: {proof.files or proof.rows}", allow_retries=False)
    return MaterializeResult(metadata={"rows": proof.checked, "verified": True})


ASSETS: list[AssetsDefinition] = [
    positive_topk_trajectories,
    negative_bottomk_trajectories,
    sft_messages_dataset,
    dpo_preference_dataset,
    suppression_dataset,
    unlearning_dataset,
    dataset_snapshot_registry,
]
