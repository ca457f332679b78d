"""The taxonomy in use: the file that the settings name, else the built-in one."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.taxonomy import Taxonomy
from regraft.infra.config.document import parse_document
from regraft.infra.config.taxonomy import TaxonomyFile
from regraft.infra.files.text import read_text
from regraft.infra.settings import Settings


def taxonomy_of(settings: Settings) -> Taxonomy:
    """The categories that the settings name. Raises ConfigError for a file that is not a taxonomy."""
    return read_taxonomy(settings.taxonomy) if settings.taxonomy is not None else default_taxonomy()


def default_taxonomy() -> Taxonomy:
    """The built-in taxonomy."""
    return parse_taxonomy(taxonomy_example(), "the built-in taxonomy")


def read_taxonomy(path: Path) -> Taxonomy:
    """The taxonomy of a file. Raises ConfigError."""
    return parse_taxonomy(read_text(path), str(path))


def parse_taxonomy(text: str, source: str) -> Taxonomy:
    """A taxonomy from TOML text; ``source`` names it in errors. Raises ConfigError."""
    document = parse_document(text, source, TaxonomyFile)
    try:
        return document.taxonomy()
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def taxonomy_example() -> str:
    """The text of the built-in taxonomy's file."""
    return files("regraft").joinpath("taxonomies", "default.toml").read_text("utf-8")
