"""Where facts go: to the publisher of this process, or nowhere.

One for the process, like logging: a flow tells a fact without knowing who runs it. ``emit`` never waits and never
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from regraft.infra.telemetry.fact_publisher import FactPublisher
from regraft.infra.telemetry.facts import Fact

_publisher: FactPublisher | None = None


def emit(fact: Fact) -> None:
    """Tell a fact, if this process publishes any."""
    if _publisher is not None:
        _publisher.take(fact)


def emitting() -> bool:
    """Whether facts are published: asked before work that only serves them."""
    return _publisher is not None


def publisher() -> FactPublisher | None:
    """The publisher of this process."""
    return _publisher


@contextmanager
def publishing_facts(find_stream: Callable[[], str | None]) -> Iterator[FactPublisher]:
    """Publish what is told in this process while the block runs. ``find_stream`` gives the URL of NATS, None while it
    does not run; it is called when there is a first fact.

    At the end what still waits is published, for two seconds at most.
    """
    global _publisher
    before, made = _publisher, FactPublisher(find_stream)
    _publisher = made
    try:
        yield made
    finally:
        _publisher = before
        made.close()
