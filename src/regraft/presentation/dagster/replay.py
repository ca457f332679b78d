"""Group ``replays``: a stored replay plan run as one batch; made by hand only, and safe to make again."""

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

from regraft.presentation.dagster.resources import Servers, regraft_failures

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
def replay_batch(context: AssetExecutionContext, config: StoredPlan, servers: Servers) -> MaterializeResult:  # type: ignore[type-arg]
    """Run the rest of a stored replay plan through the gateway."""
    from regraft.flows import pipeline
    from regraft.flows.replay import plans as replay
    from regraft.flows.replay import progress
    from regraft.flows.replay.rollouts import growing

    with regraft_failures():
        plan_id = progress.plan_id(servers.dsn, config.plan)
        batch = pipeline.add_batch(servers.dsn, GROUP, [str(plan_id)])
        servers.ingest()
        planned = replay.resume(servers.dsn, plan_id)
        nodes = {job.origin.node_id for job in planned.todo}
        grow = growing(servers.dsn, planned.experiment, nodes, servers.settings.tools)
        counts = replay.run(servers.dsn, servers.gateway(), planned, grow=grow, prices=replay.prices(servers.settings))
        row = progress.progress(servers.dsn, plan_id)
    failed = row["failed"]
    figures = {"plan": str(plan_id), "batch": batch, "ran": counts.ran, "done": row["done"], "failed": failed}
    return MaterializeResult(
        metadata=figures,
        check_results=[AssetCheckResult(check_name="jobs_have_answers", passed=failed == 0, metadata={"bad": failed})],
    )


ASSETS: list[AssetsDefinition] = [replay_batch]
