"""How much of the logs of services is kept."""

from __future__ import annotations

from pydantic import Field

from regraft.infra.config.section import Section


class LogsSection(Section):
    """The logs of services that run in the background, in ``<data_dir>/logs``."""

    max_mib: int = Field(16, ge=1, le=4096, description="MiB of a log after which it is rotated")
    keep: int = Field(4, ge=0, le=100, description="older files of each log that are kept")
