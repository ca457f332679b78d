"""How long data from which nothing else is derived is kept."""

from __future__ import annotations

import re
from datetime import timedelta

from pydantic import Field, field_validator

from regraft.domain.errors import UsageError
from regraft.infra.config.section import Section

_AGE = re.compile(r"(\d{1,6})\s*([hdwy])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7, "y": 24 * 365}


def age_of(text: str) -> timedelta:
    """``90d``, ``12w``, ``48h`` or ``2y``. Raises UsageError."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text} is not an age: give a number and h, d, w or y, such as 90d.")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


class RetentionSection(Section):
    """The ages that `regraft retention` uses by default; `regraft up` runs the command once a day."""

    raw_bodies: str | None = Field(
        None, description="age, such as 90d, of raw bytes around answers; they are kept for good if unset"
    )
    unreadable: bool = Field(False, description="whether raw_bodies also removes calls that could never be read")
    run_details: str | None = Field(
        "90d",
        description="age of what Dagster's runs logged; runs, materializations and checks stay. '' keeps it for good",
    )

    @field_validator("raw_bodies", "run_details")
    @classmethod
    def _is_an_age(cls, value: str | None) -> str | None:
        if not value:
            return None
        try:
            age_of(value)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return value
