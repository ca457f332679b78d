"""The formats that a dataset can be written in, by name. A new format is a module, and an entry here."""

from __future__ import annotations

from collections.abc import Mapping

from regraft.domain.datasets.formats.alpaca import AlpacaFormat
from regraft.domain.datasets.formats.axolotl import AxolotlFormat
from regraft.domain.datasets.formats.format import Format
from regraft.domain.datasets.formats.llamafactory import LlamaFactoryFormat
from regraft.domain.datasets.formats.open_unlearning import OpenUnlearningFormat
from regraft.domain.datasets.formats.openai import FIREWORKS, OPENAI, TOGETHER
from regraft.domain.datasets.formats.sharegpt import ShareGptFormat
from regraft.domain.datasets.formats.trl import TrlFormat
from regraft.domain.errors import UsageError

FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        TrlFormat(),
        OPENAI,
        TOGETHER,
        FIREWORKS,
        LlamaFactoryFormat(),
        AxolotlFormat(),
        OpenUnlearningFormat(),
        ShareGptFormat(),
        AlpacaFormat(),
    )
}


def format_named(name: str) -> Format:
    """The format of this name. Raises UsageError that lists the known ones."""
    if name not in FORMATS:
        raise UsageError(f"There is no format {name!r}. It is one of: {', '.join(FORMATS)}.")
    return FORMATS[name]
