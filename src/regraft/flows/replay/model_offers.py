"""Models that a replay can ask: those that the gateway's upstreams offer now, and those that answered before."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from regraft.domain.errors import RegraftError, UnavailableError, UpstreamError
from regraft.domain.replay.budget import Price
from regraft.flows.replay.models import listed
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import GatewayClient, NoModelListError
from regraft.infra.postgres.pool import Source

_SECONDS = 10.0  # for the gateway to ask its upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOffer:
    """A model. ``offered``: an upstream lists it now; ``runs``: how often it answered; ``price``: by the settings."""

    name: str
    offered: bool
    runs: int
    price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOffers:
    """Models, those that are offered first. ``problem`` says why it is not known which are; empty: it is."""

    models: tuple[ModelOffer, ...]
    problem: str


def model_offers(
    source: Source, gateway: GatewayEndpoint, prices: Mapping[str, Price], scope: str | None
) -> ModelOffers:
    """Models that can be asked. A tenant (``scope``) does not see models that only answered others."""
    problem, names = "", list[str]()
    try:
        names = _offered(gateway)
    except NoModelListError as error:
        problem = f"The model servers do not say which models they have: {error}"
    except RegraftError as error:
        problem = str(error)
    runs: dict[str, int] = {}
    for row in listed(source) if scope is None else ():
        runs[row["model"]] = runs.get(row["model"], 0) + row["runs"]
    offered = dict.fromkeys(names)
    rest = sorted((name for name in runs if name and name not in offered), key=lambda name: (-runs[name], name))
    models = tuple(
        ModelOffer(name=name, offered=name in offered, runs=runs.get(name, 0), price=prices.get(name))
        for name in (*offered, *rest)
    )
    return ModelOffers(models=models, problem=problem)


def require_gateway(gateway: GatewayEndpoint) -> None:
    """Raises UnavailableError when the gateway does not answer, KeyRefusedError when it refuses our key."""
    with contextlib.suppress(NoModelListError):
        _offered(gateway)


def _offered(gateway: GatewayEndpoint) -> list[str]:
    async def ask() -> list[str]:
        async with asyncio.timeout(_SECONDS), GatewayClient(gateway, read_timeout=_SECONDS) as client:
            return await client.models()

    try:
        return asyncio.run(ask())
    except NoModelListError:
        raise
    except (TimeoutError, UpstreamError) as error:
        raise UnavailableError(
            f"The gateway at {gateway.url} does not answer: `regraft status` shows what is running."
        ) from error
