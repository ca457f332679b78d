"""Routes of recipes: list, read, check and save them, preview what one would give, freeze it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from regraft.domain.errors import ForbiddenError
from regraft.flows.datasets import recipe_library
from regraft.presentation.web.answer import FailedReply, JsonReply
from regraft.presentation.web.datasets.jobs import job_reply
from regraft.presentation.web.datasets.recipe_models import (
    CheckedRecipe,
    DatasetJob,
    ListedRecipe,
    PreviewRequest,
    Recipe,
    RecipeMistake,
    Recipes,
    RecipeToCheck,
    RecipeToSave,
)
from regraft.presentation.web.request import Admin, Datasets, Truth

router = APIRouter(
    prefix="/recipes",
    tags=["datasets"],
    responses={
        403: {"model": FailedReply, "description": "This token may not do that."},
        409: {"model": FailedReply, "description": "There is a recipe of this name."},
    },
)


@router.get("", response_model=Recipes)
def recipes(truth: Truth, datasets: Datasets) -> JsonReply:
    """The recipes: saved ones, which a tenant's token does not see, and built-in ones."""
    found = datasets.recipes.listed(saved=truth.scope is None)
    saves = datasets.recipes.saves and truth.scope is None and truth.grant.changes
    return JsonReply(Recipes(recipes=[ListedRecipe.model_validate(asdict(one)) for one in found], saves=saves))


@router.get("/schema", response_model=dict[str, Any])
def recipe_schema(truth: Truth) -> dict[str, Any]:
    """The JSON Schema of recipes."""
    return recipe_library.schema()


@router.post("/check", response_model=CheckedRecipe)
def check_recipe(body: RecipeToCheck, truth: Truth, datasets: Datasets) -> JsonReply:
    """What is wrong with a text, by line, or what recipe it is. Nothing is run."""
    return JsonReply(_checked(datasets.recipes.check(body.text, files=truth.scope is None)))


@router.post("/preview", response_model=DatasetJob, status_code=202)
def preview_recipe(body: PreviewRequest, admin: Admin, datasets: Datasets) -> JsonReply:
    """Begin to make the rows of a recipe, of a tenant's conversations for a tenant's token; nothing is frozen."""
    page = f"{admin.name} {body.page}"
    return job_reply(datasets.preview(body.text, page, scope=admin.scope, all_rows=body.all_rows), 202)


@router.post("/freeze", response_model=DatasetJob, status_code=202)
def freeze_recipe(body: RecipeToCheck, admin: Admin, datasets: Datasets) -> JsonReply:
    """Begin to freeze a recipe's rows, of a tenant's conversations for a tenant's token."""
    return job_reply(datasets.freeze(body.text, scope=admin.scope), 202)


@router.get("/{name}", response_model=Recipe)
def recipe(name: str, truth: Truth, datasets: Datasets) -> JsonReply:
    """The text of a recipe."""
    text, origin = datasets.recipes.text(name, saved=truth.scope is None)
    checked = _checked(datasets.recipes.check(text, files=truth.scope is None))
    return JsonReply(Recipe(**checked.model_dump(), origin=origin, text=text))


@router.put("/{name}", response_model=Recipe)
def save_recipe(name: str, body: RecipeToSave, admin: Admin, datasets: Datasets) -> JsonReply:
    """Save a recipe in the folder of recipes. A saved one of this name is only replaced when that is asked for."""
    if admin.scope is not None:
        raise ForbiddenError("A tenant's token saves no recipes: they would be for all tenants.")
    datasets.recipes.save(name, body.text, replace=body.replace)
    text, origin = datasets.recipes.text(name)
    return JsonReply(Recipe(**_checked(datasets.recipes.check(text)).model_dump(), origin=origin, text=text))


def _checked(found: recipe_library.CheckedRecipe) -> CheckedRecipe:
    meaning = found.recipe
    return CheckedRecipe(
        mistakes=[RecipeMistake.model_validate(asdict(one)) for one in found.mistakes],
        name=meaning.name if meaning else None,
        kind=meaning.kind if meaning else None,
        description=meaning.description if meaning else None,
    )
