"""Group ``evaluation``: paths and pairs in the workbench, and what was judged of them in the truth."""

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    RetryPolicy,
    asset,
)

from regraft.presentation.dagster.resources import Servers, regraft_failures

GROUP = "evaluation"
RETRY = RetryPolicy(max_retries=3, delay=10)  # another process may hold the workbench

human_eval_labels = AssetSpec(
    "human_eval_labels",
    deps=["trajectory_units"],
    group_name=GROUP,
    kinds={"postgres"},
    description="Ratings by people; written by review, only reported here.",
)
preference_labels = AssetSpec(
    "preference_labels",
    deps=["candidate_preference_pairs"],
    group_name=GROUP,
    kinds={"postgres"},
    description="Preferences between two answers, with their reviewers; written by review, only reported here.",
)


@asset(
    deps=["lineage_watermark", "conversation_branch_nodes", "execution_run_records"],
    group_name=GROUP,
    kinds={"duckdb"},
    retry_policy=RETRY,
)
def trajectory_units(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """One row for each path from a root to a leaf, measured again where the graph changed."""
    from regraft.flows.evaluation.trajectories import materialise_units

    with regraft_failures():
        done = materialise_units(servers.dsn, servers.workbench)
    return MaterializeResult(metadata={"sessions": done.sessions, "units": done.units, "build": done.build})


@asset(deps=["trajectory_units"], group_name=GROUP, kinds={"duckdb"}, retry_policy=RETRY)
def trajectory_embeddings(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """A vector for the text of each path, copied to PostgreSQL where pgvector is; a text is never embedded again."""
    from regraft.flows.evaluation.embeddings import embedder_of, materialise_embeddings
    from regraft.flows.evaluation.neighbours import index_vectors

    with regraft_failures():
        done = materialise_embeddings(servers.workbench, embedder_of(servers.settings, servers.gateway))
        search = index_vectors(servers.dsn, servers.workbench, done.model)
    return MaterializeResult(
        metadata={
            "embedded": done.embedded,
            "units": done.units,
            "model": done.model,
            "search": f"exact: {search.reason}" if search.reason else f"pgvector {search.version}",
        }
    )


@asset(deps=["trajectory_embeddings"], group_name=GROUP, kinds={"duckdb", "postgres"}, retry_policy=RETRY)
def trajectory_clusters(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Clusters of paths by subject, with stable ids and a map; fitted again when too many paths fit nowhere."""
    from regraft.flows.evaluation import cluster_reading as reading
    from regraft.flows.evaluation.clusters import materialise_clusters
    from regraft.flows.evaluation.embeddings import embedder_of

    with regraft_failures():
        model = embedder_of(servers.settings, servers.gateway).model
        done = materialise_clusters(servers.dsn, servers.workbench, model, servers.settings.clusters.rule)
        page = reading.map_page(servers.workbench)
    return MaterializeResult(
        metadata={
            "fitted": done.fitted,
            "added": done.added,
            "units": done.units,
            "without_cluster": done.without,
            "clusters": done.clusters,
            "later_units": done.drift.later,
            "later_without_cluster": done.drift.unassigned,
            **({} if done.trustworthiness is None else {"trustworthiness": done.trustworthiness}),
            **({"map": MetadataValue.md(page)} if page else {}),
        }
    )


@asset(deps=["response_branch_records", "trajectory_units"], group_name=GROUP, kinds={"duckdb"}, retry_policy=RETRY)
def candidate_preference_pairs(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Pairs of answers to one context, each with the verdict on whether it may be trained on."""
    from regraft.flows import pipeline
    from regraft.flows.evaluation.pairs import propose_pairs

    with regraft_failures():
        # Read before: what comes meanwhile is then seen as new by the next tick.
        judged = pipeline.counts(servers.dsn, "judged")["judgements"]
        build = pipeline.counts(servers.dsn, "graph")["build"]
        done = propose_pairs(servers.dsn, servers.workbench)
    return MaterializeResult(
        metadata={
            "sessions": done.sessions,
            "pairs": done.pairs,
            "legal": done.legal,
            "refused": sum(done.refused.values()),
            "judgements": judged,
            "build": build,
        }
    )


@asset(deps=["trajectory_units", "human_eval_labels"], group_name=GROUP, kinds={"duckdb"}, retry_policy=RETRY)
def pivot_nodes(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Contexts whose answers led to different outcomes, with the values and weights of the answers."""
    from regraft.flows.evaluation.pivots import materialise_pivots

    with regraft_failures():
        done = materialise_pivots(servers.dsn, servers.workbench)
    return MaterializeResult(metadata={"sessions": done.sessions, "pivots": done.pivots})


@asset(
    deps=["trajectory_units", "trajectory_embeddings", "trajectory_clusters", "pivot_nodes", "human_eval_labels"],
    group_name=GROUP,
    kinds={"duckdb", "scikitlearn"},
    retry_policy=RETRY,
)
def cluster_category_labels(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Labels of paths by rules, judges, the learned labeller and people, and the categories of their clusters."""
    from regraft.flows.evaluation import categories, learning
    from regraft.infra.files.taxonomies import taxonomy_of

    with regraft_failures():
        taxonomy = taxonomy_of(servers.settings)
        done = categories.label_units(servers.dsn, servers.workbench, taxonomy)
        learned = learning.learn_labels(servers.workbench, taxonomy)
        clusters = categories.label_clusters(servers.workbench)
        found = categories.by_category(servers.workbench)
    lines = ["| category | layer | maker | labels | holds | standing |", "|---|---|---|---|---|---|"]
    for row in found:
        category = row["category"].replace("|", "\\|")
        said = f"{row['layer']} | {row['maker']} | {row['labels']} | {row['decided']} | {row['standing']}"
        lines.append(f"| {category} | {said} |")
    return MaterializeResult(
        metadata={
            "taxonomy": done.taxonomy,
            "sessions": done.sessions,
            "learned": learned.deciding,
            "not_learned": learned.undecided,
            "clusters": clusters.clusters,
            "labels": MetadataValue.md("\n".join(lines)),
        }
    )


@asset(
    deps=["candidate_preference_pairs", "human_eval_labels", "preference_labels", "feedback"],
    group_name=GROUP,
    kinds={"duckdb", "numpy"},
    retry_policy=RETRY,
)
def judge_calibration(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """How well judges agree with people, by task, category and theme: which of them may decide in a dataset."""
    from regraft.domain.evaluation.calibration import standing
    from regraft.flows.evaluation.calibration import calibrate, figures

    with regraft_failures():
        done = calibrate(servers.dsn, servers.workbench)
        found = [one for one in figures(servers.workbench) if one.theme is None]
    lines = ["| judge | decides | items | kappa | agreement | status |", "|---|---|---|---|---|---|"]
    for one in found:
        kappa, agreement = ("" if value is None else f"{value:.2f}" for value in (one.kappa, one.agreement))
        name = one.judge.replace("|", "\\|")
        lines.append(f"| {name} | {one.category or one.task} | {one.items} | {kappa} | {agreement} | {standing(one)} |")
    return MaterializeResult(
        metadata={
            "judges": done.judges,
            "items": done.items,
            "stale": done.stale,
            "figures": MetadataValue.md("\n".join(lines)),
        }
    )


@asset(
    deps=[
        "candidate_preference_pairs",
        "pivot_nodes",
        "cluster_category_labels",
        "human_eval_labels",
        "preference_labels",
    ],
    group_name=GROUP,
    kinds={"postgres"},
    retry_policy=RETRY,
)
def human_sample_queue(context: AssetExecutionContext, servers: Servers) -> MaterializeResult[None]:
    """Paths and pairs that people should judge next, with a random sample for estimates; and how far people agree."""
    from regraft.flows.evaluation import queue, reviewer_agreement

    review = servers.settings.review
    with regraft_failures():
        reviewer_agreement.refresh_agreement(servers.dsn, review.min_agreement, review.min_judged)
        done = queue.fill_queue(servers.dsn, servers.workbench, queue.queue_size(review), refresh=False)
        themes = reviewer_agreement.themes_agreement(servers.dsn)
        shares = queue.queue_shares(servers.dsn)
    queued = ["| kind | theme | share | open | complete | judgements |", "|---|---|---|---|---|---|"]
    queued += [
        f"| {row.kind} | {row.theme} | {row.share} | {row.open} | {row.complete} | {row.judgements} |" for row in shares
    ]
    agreed = ["| theme | measure | alpha | judged twice | disputed | contested |", "|---|---|---|---|---|---|"]
    agreed += [
        f"| {row.theme} | {row.measure} | {'' if row.alpha is None else f'{row.alpha:.2f}'} | {row.subjects}"
        f" | {row.disputed} | {'contested' if row.contested else ''} |"
        for row in themes
    ]
    return MaterializeResult(
        metadata={
            "added": done.added,
            "gone": done.gone,
            "open": done.open,
            "contested": sum(row.contested for row in themes),
            "queue": MetadataValue.md("\n".join(queued)),
            "agreement": MetadataValue.md("\n".join(agreed)),
        }
    )


ASSETS: list[AssetSpec | AssetsDefinition] = [
    trajectory_units,
    trajectory_embeddings,
    trajectory_clusters,
    candidate_preference_pairs,
    pivot_nodes,
    cluster_category_labels,
    judge_calibration,
    human_sample_queue,
    human_eval_labels,
    preference_labels,
]
