"""The settings of human review."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from regraft.infra.config.section import Section


class ReviewSection(Section):
    """The review queue: its size, the reviewers per item, and the agreement below which labels decide nothing."""

    size: int = Field(500, ge=1, description="open items of each kind that the queue is filled up to")
    reviewers: int = Field(1, ge=1, description="people who judge each item")
    overlap: float = Field(
        0.2, ge=0, le=1, description="share of items that one more person judges, so that agreement can be measured"
    )
    random_share: float = Field(0.2, ge=0, le=1, description="share of items that are a random sample, for estimates")
    gold_share: float = Field(0.05, ge=0, lt=1, description="share of claims that get an item of known answer")
    lease_minutes: float = Field(30.0, gt=0, description="how long a reviewer may keep an item; then others get it")
    min_agreement: float = Field(
        0.4,
        ge=-1,
        le=1,
        description="Krippendorff's alpha below which a theme's labels decide nothing until adjudicated",
    )
    min_judged: int = Field(
        10, ge=2, description="paths or pairs of a theme judged by two people before that is applied"
    )
    guidelines: Path | None = Field(None, description="a Markdown file with guidelines, shown beside each item")
