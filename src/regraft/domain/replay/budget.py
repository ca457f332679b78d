"""The budget, cost and estimate of a replay: in tokens, and in money where prices are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from regraft.domain.errors import ConfigError, UsageError
from regraft.domain.ids import plain
from regraft.domain.replay.job import Job

CHARACTERS_A_TOKEN = 4  # assumed for a request whose tokens were not counted
_LONGEST = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money for a million tokens."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class TokenSpend:
    """Tokens that were paid for; ``cached`` ones are among those of the prompt."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt + self.completion

    def __add__(self, more: TokenSpend) -> TokenSpend:
        return TokenSpend(self.prompt + more.prompt, self.completion + more.completion, self.cached + more.cached)

    def money(self, price: Price | None) -> float:
        """Their cost; 0 without a price."""
        return (self.prompt * price.prompt + self.completion * price.completion) / 1e6 if price else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """No new job starts once this is spent; None: no limit. ``prices`` are by model."""

    tokens: int | None = None
    money: float | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)

    def check(self, models: Iterable[str]) -> None:
        """Raises UsageError for a limit that leaves nothing, ConfigError for money without a price."""
        for name, limit in (("tokens", self.tokens), ("money", self.money)):
            if limit is not None and not limit > 0:
                raise UsageError(f"A budget of {limit:g} {name} does not allow a single job.")
        missing = sorted(set(models) - self.prices.keys())
        if self.money is not None and missing:
            raise ConfigError(
                f'A budget in money needs the price of {missing[0]!r}: set [prices."{missing[0]}"] with prompt and '
                "completion, per million tokens."
            )

    def spent(self, spent: Mapping[str, TokenSpend]) -> bool:
        """Whether nothing is left of it, given the tokens by model."""
        if self.tokens is not None and sum(one.tokens for one in spent.values()) >= self.tokens:
            return True
        return self.money is not None and self.cost(spent) >= self.money

    def cost(self, spent: Mapping[str, TokenSpend]) -> float:
        """Money for the tokens of each model, as far as there are prices."""
        return sum(one.money(self.prices.get(model)) for model, one in spent.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimated tokens of a job. ``counted``: the prompt is the original's, whose tokens were counted when it was
    asked.

    ``completion`` is the longest answer that the request allows, else as long as the original's; ``bounded`` says
    which.
    """

    prompt: int
    completion: int
    counted: bool
    bounded: bool

    @property
    def spent(self) -> TokenSpend:
        """The same, as a spent amount."""
        return TokenSpend(self.prompt, self.completion)


def estimate(job: Job) -> Estimate:
    """Before anything is asked."""
    origin = job.origin
    counted = job.same_words and not job.variant.tools and not job.variant.without_tools
    prompt = origin.prompt_tokens if counted else None
    sampling = {**origin.sampling, **job.variant.sampling}
    limits = [limit for name in _LONGEST if isinstance(limit := plain(sampling.get(name)), int)]
    completion = limits[0] if limits else origin.completion_tokens or 0
    return Estimate(
        prompt=prompt if prompt is not None else -(-len(job.body) // CHARACTERS_A_TOKEN),
        completion=completion,
        counted=prompt is not None,
        bounded=bool(limits),
    )
