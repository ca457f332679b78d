"""Facts for tests."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, get_type_hints

from nats.js.errors import NotFoundError

from regraft.infra.nats.connection import connect
from regraft.infra.nats.fact_stream import STREAM, FactStream
from regraft.infra.telemetry.facts import FACTS, Fact, decode_fact


def example(kind: type[Fact]) -> Fact:
    """A fact of a kind in which every field has a value."""
    return kind(**{name: _value(hint, 0) for name, hint in get_type_hints(kind).items()})


def random_facts(seed: int, number: int) -> list[Fact]:
    """So many facts of all kinds; fields that may be empty often are."""
    draw = random.Random(seed)
    kinds = [draw.choice(FACTS) for _ in range(number)]
    return [kind(**{name: _drawn(hint, draw) for name, hint in get_type_hints(kind).items()}) for kind in kinds]


def _value(hint: Any, number: int) -> Any:
    return f"name {number}" if hint is str else 3 if hint in (int, int | None) else 0.25


def _drawn(hint: Any, draw: random.Random) -> Any:
    if hint is str:
        return draw.choice(["", "a", "b", 'with "quotes"', "naïve ☃"])
    if hint in (int | None, float | None) and draw.random() < 0.3:
        return None
    if hint in (int, int | None):
        return draw.choice([0, 1, 4, 5, 1024, 10**9])
    return draw.choice([0.0, 0.01, 0.1, 0.3, 1.0, 81.92, 5000.0])


def forget_facts(nats_url: str) -> None:
    """Delete the stream of facts, if there is one."""

    async def forget() -> None:
        client = await connect(nats_url)
        with contextlib.suppress(NotFoundError):
            await client.jetstream().delete_stream(STREAM)
        await client.close()

    asyncio.run(forget())


def facts_told(nats_url: str, number: int, kind: type[Fact] = Fact) -> list[Fact]:
    """The facts of a kind, once there are so many; no process may be counting them."""

    async def read() -> list[Fact]:
        stream = await FactStream.connect(nats_url)
        try:
            await stream.ensure()
            told: list[Fact] = []
            while len(told) < number:
                lines = await stream.fetch(64, 20.0)
                assert lines, f"{len(told)} facts instead of {number}: {told}"
                told += [each for line in lines if isinstance(each := decode_fact(line), kind)]
            return told
        finally:
            await stream.aclose()

    return asyncio.run(read())
