"""Recipes: files of the user's, and the built-in ones."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from regraft.domain.errors import NotFoundError


def recipe_text(recipe: str) -> str:
    """The text of a recipe: a file's, else that of a built-in one. Raises NotFoundError that lists those."""
    built_in = {
        file.name.removesuffix(".toml"): file
        for file in files("regraft").joinpath("recipes").iterdir()
        if file.name.endswith(".toml")
    }
    path = Path(recipe)
    try:
        if recipe in built_in and not path.exists():
            return built_in[recipe].read_text("utf-8")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise NotFoundError(
            f"The recipe {recipe} cannot be read: {reason}. Built in: {', '.join(sorted(built_in))}."
        ) from error
