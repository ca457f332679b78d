"""The recipes that a server offers: the built-in ones, and those saved in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regraft.domain.datasets.recipe import Recipe
from regraft.domain.errors import ConfigError, ForbiddenError, NotFoundError, UsageError
from regraft.infra.config.document import Mistake
from regraft.infra.files.recipes import (
    built_in,
    parse_recipe,
    recipe_mistakes,
    save_recipe,
    saved_recipe,
    saved_recipes,
)
from regraft.infra.files.schemas import json_schema
from regraft.infra.text.token_counter import NAMED

LONGEST = 1 << 16  # characters of a recipe

Origin = Literal["built_in", "saved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecipe:
    """A recipe by its name. ``kind`` and ``description`` are '' while ``problem`` says why it is not one."""

    name: str
    origin: Origin
    kind: str = ""
    description: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecipe:
    """A text, and what is wrong with it; ``recipe`` is what it means, None where something is wrong."""

    text: str
    mistakes: tuple[Mistake, ...]
    recipe: Recipe | None


class RecipeLibrary:
    """``folder`` holds saved recipes, ``NAME.toml`` each; without one nothing can be saved. It is read again each time:
    files are edited."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def saves(self) -> bool:
        """Whether recipes can be saved."""
        return self._folder is not None

    def listed(self, *, saved: bool = True) -> list[ListedRecipe]:
        """All recipes, the saved ones first, by name; ``saved=False``: only the built-in ones."""
        own = saved_recipes(self._folder) if self._folder is not None and saved else {}
        found = [_listed(name, "saved", path) for name, path in own.items()]
        return found + [_listed(name, "built_in", file) for name, file in built_in().items() if name not in own]

    def text(self, name: str, *, saved: bool = True) -> tuple[str, Origin]:
        """The text of a recipe. Raises NotFoundError."""
        path = saved_recipe(self._folder, name) if self._folder is not None and saved else None
        if path is not None:
            return _read(path), "saved"
        file = built_in().get(name)
        if file is None:
            raise NotFoundError(f"There is no recipe {name[:80]}.")
        return _read(file), "built_in"

    def check(self, text: str, *, files: bool = True) -> CheckedRecipe:
        """Parse a recipe text, or describe its mistakes. ``files=False``: it may not name files."""
        if len(text) > LONGEST:
            found = [Mistake(None, "", f"The text is longer than {LONGEST:,} characters.")]
            return CheckedRecipe(text=text, mistakes=tuple(found), recipe=None)
        found = recipe_mistakes(text)
        if found:
            return CheckedRecipe(text=text, mistakes=tuple(found), recipe=None)
        recipe = parse_recipe(text)
        try:
            self._require_files_inside(recipe, files=files)
        except UsageError as error:
            return CheckedRecipe(text=text, mistakes=(Mistake(None, "filters", str(error)),), recipe=None)
        return CheckedRecipe(text=text, mistakes=(), recipe=recipe)

    def require(self, text: str, *, files: bool = True) -> Recipe:
        """The recipe that a text is. Raises ConfigError with a line for each mistake."""
        checked = self.check(text, files=files)
        if checked.recipe is None:
            said = (f"line {one.line}: {one.message}" if one.line else one.message for one in checked.mistakes)
            raise ConfigError("\n".join(said))
        return checked.recipe

    def save(self, name: str, text: str, *, replace: bool = False) -> None:
        """Save a recipe. Raises ConfigError for a text that is none, ConflictError where there is one of this name and
        ``replace`` is not asked for, UsageError for a name that is none."""
        if self._folder is None:
            raise ForbiddenError("This server was started without a folder of recipes.")
        self.require(text)
        save_recipe(self._folder, name, text, replace=replace)

    def _require_files_inside(self, recipe: Recipe, *, files: bool) -> None:
        """Who writes a recipe over the network reads no other files of the server than those beside the recipes."""
        tokenizer = recipe.filters.tokenizer
        named = [*recipe.filters.decontaminate, *([tokenizer] if tokenizer and tokenizer not in NAMED else [])]
        for name in named:
            if not files or self._folder is None:
                raise UsageError(f"A recipe in a request may not name files, but this one names {name[:80]!r}.")
            if not Path(name).resolve().is_relative_to(self._folder.resolve()):
                raise UsageError(f"{name[:80]!r} is not in the folder of recipes, {self._folder}.")


def schema() -> dict[str, Any]:
    """The JSON Schema of recipes."""
    return json_schema("recipe")


def _listed(name: str, origin: Origin, file: Any) -> ListedRecipe:
    try:
        recipe = parse_recipe(_read(file), f"{name}.toml")
    except (ConfigError, NotFoundError) as error:
        return ListedRecipe(name=name, origin=origin, problem=str(error))
    return ListedRecipe(name=name, origin=origin, kind=recipe.kind, description=recipe.description)


def _read(file: Any) -> str:
    try:
        return str(file.read_text("utf-8"))
    except OSError as error:
        raise NotFoundError(f"{file.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name} is not UTF-8 text.") from error
