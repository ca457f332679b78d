"""The base of every model of a file that a user writes: settings, experiments, recipes, rules."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of a file that a user writes. An unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileSection(Section):
    """A table of a file that no environment variable overrides: a text is never read as a number or a flag."""

    model_config = ConfigDict(strict=True)
