"""All routes under ``/api``, by room."""

from __future__ import annotations

from fastapi import APIRouter

from regraft.presentation.web import jobs, sign_in
from regraft.presentation.web.admin import routes as administering
from regraft.presentation.web.capture import live, status
from regraft.presentation.web.datasets import jobs as dataset_jobs
from regraft.presentation.web.datasets import recipes, rows, snapshots
from regraft.presentation.web.evaluation import (
    category_paths,
    clusters,
    judges,
    map,
    node_judgements,
    pivots,
    queue,
    review,
    similar,
)
from regraft.presentation.web.lineage import finding, graph, sessions, shape, themes
from regraft.presentation.web.replay import plans, running, staleness

ACCESS: tuple[APIRouter, ...] = (sign_in.router, administering.router)
CAPTURE: tuple[APIRouter, ...] = (status.router, live.router)
LINEAGE: tuple[APIRouter, ...] = (
    sessions.router,
    themes.router,
    graph.router,
    finding.router,
    shape.router,
)  # /sessions/facets is no /sessions/{id}
REPLAY: tuple[APIRouter, ...] = (running.router, plans.router, staleness.router)
EVALUATION: tuple[APIRouter, ...] = (
    pivots.router,
    clusters.router,
    map.router,
    category_paths.router,
    judges.router,
    node_judgements.router,
    similar.router,
    review.router,
    queue.router,
)
DATASETS: tuple[APIRouter, ...] = (recipes.router, snapshots.router, rows.router, dataset_jobs.router)
ROUTERS = (*ACCESS, jobs.router, *CAPTURE, *LINEAGE, *REPLAY, *EVALUATION, *DATASETS)
