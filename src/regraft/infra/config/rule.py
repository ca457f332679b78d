"""A taskify rule, as the settings and the package's own files hold it."""

from __future__ import annotations

from pydantic import Field, field_validator

from regraft.infra.config.section import Section


class RuleSection(Section):
    """A rule of your own for cutting requests into plans of subtasks."""

    instructions: str = Field(min_length=1, description="the system prompt that asks for a plan as JSON")
    repair: str = Field("", description="the follow-up message after an invalid plan, with {problems} in it")
    max_subtasks: int = Field(8, ge=1, le=64, description="subtasks that a plan may have")
    description: str = Field("", description="what it is for")

    @field_validator("repair")
    @classmethod
    def _names_the_problems(cls, value: str) -> str:
        if value and "{problems}" not in value:
            raise ValueError("must contain {problems}")
        return value
