"""Group ``replays``: a stored replay plan run as one batch; made by hand only, and safe to make again."""

import time
from secrets import token_bytes

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    Config,
    MaterializeResult,
    asset,
)
from pydantic import Field

from regraft.domain.ids import time_ordered_uuid
from regraft.presentation.dagster.resources import House, told

GROUP = "replays"


class StoredPlan(Config):
    """Which plan to run."""

    plan: str = Field(description="id, or start of the id, of a plan that `regraft replay --store` made")


@asset(
    deps=["conversation_branch_nodes"],
    group_name=GROUP,
    kinds={"postgres"},
    check_specs=[AssetCheckSpec("jobs_have_answers", asset="replay_batch", description="No job of the plan failed.")],
)
def replay_batch(context: AssetExecutionContext, config: StoredPlan, house: House) -> MaterializeResult:  # type: ignore[type-arg]
    """Run the rest of a stored replay plan through the gateway."""
    from regraft.flows.replay import plans as replay
    from regraft.infra.postgres import pipeline
    from regraft.infra.postgres.pool import transaction
    from regraft.infra.postgres.replay import plans as store

    with told():
        with transaction(house.dsn, name="regraft-dagster") as connection:
            plan_id = store.resolve_plan(connection, config.plan)
            batch = str(time_ordered_uuid(time.time_ns() // 1_000_000, token_bytes(10)))
            pipeline.add_batch(connection, batch, GROUP, [str(plan_id)])
        planned = replay.resume(house.dsn, plan_id)
        house.ingest()
        counts = replay.run(house.dsn, house.gateway(), planned, prices=replay.prices(house.settings))
        with transaction(house.dsn, name="regraft-dagster") as connection:
            row = store.progress(connection, plan_id)
    failed = row["failed"]
    figures = {"plan": str(plan_id), "batch": batch, "ran": counts.ran, "done": row["done"], "failed": failed}
    return MaterializeResult(
        metadata=figures,
        check_results=[AssetCheckResult(check_name="jobs_have_answers", passed=failed == 0, metadata={"bad": failed})],
    )


ASSETS: list[AssetsDefinition] = [replay_batch]
