"""The JSON Schemas of the files that users write, by name."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from regraft.domain.errors import NotFoundError
from regraft.infra.client_table import KnownClientSection, SideCallSection
from regraft.infra.config.judge import JudgeFile
from regraft.infra.config.orchestrator import OrchestratorSection
from regraft.infra.config.rule import RuleSection
from regraft.infra.config.taxonomy import TaxonomyFile
from regraft.infra.files.experiments import ExperimentFile
from regraft.infra.files.recipes import RecipeFile
from regraft.infra.settings import Settings

MODELS: dict[str, Any] = {
    "settings": Settings,
    "experiment": ExperimentFile,
    "recipe": RecipeFile,
    "judge": JudgeFile,
    "taxonomy": TaxonomyFile,
    "rules": dict[str, RuleSection],
    "orchestrators": dict[str, OrchestratorSection],
    "clients": dict[str, KnownClientSection],
    "side_calls": dict[str, SideCallSection],
}


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a file, or of a table of the settings. Raises NotFoundError."""
    if name not in MODELS:
        raise NotFoundError(f"There is no schema {name}. The schemas are: {', '.join(MODELS)}.")
    schema = TypeAdapter(MODELS[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
