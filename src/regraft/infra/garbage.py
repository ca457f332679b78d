"""The garbage collector, run less often while a batch is worked on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = (20_000, 20, 50)


@contextmanager
def reduced_garbage_collection() -> Iterator[None]:
    """Look for garbage less often meanwhile: a batch makes many objects, which end with it, and few of them in circles.

    With the usual thresholds a quarter of a build's time goes into going over its rows again and again.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
