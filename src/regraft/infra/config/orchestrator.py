"""The settings of one orchestrator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from regraft.infra.config.section import Section


class OrchestratorSection(Section):
    """One `orchestrator/NAME`: a plan, workers that carry it out, and one answer."""

    model: str = Field(min_length=1, description="the model that plans and writes the answer")
    workers: dict[str, str] = Field(min_length=1, description="workers that a plan may name: name -> model")
    rule: str = Field("default", description="the taskify rule: `default`, or one of `rules`")
    synthesis: str = Field("", description="the system prompt of the last call; a built-in one if empty")
    max_steps: int = Field(8, ge=1, le=64, description="subtasks that a plan may have; the rule may allow fewer")
    concurrency: int = Field(4, ge=1, le=64, description="steps at the same time")
    timeout: float = Field(
        120.0, gt=0, description="seconds for the plan, for each step with its tools, for the answer"
    )
    retries: int = Field(1, ge=0, le=10, description="further attempts at a call")
    max_tokens: int | None = Field(None, ge=1, description="longest result of a step; also of the answer by default")
    on_failure: Literal["continue", "cancel"] = Field(
        "continue", description="after a failed step: go on without it, or end the whole call"
    )
    tools: list[str] = Field([], description="tool servers, of `tools`, that workers may use")
