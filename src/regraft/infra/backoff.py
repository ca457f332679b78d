"""How long to wait after failures in a row."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double with each failure in a row: ``first`` seconds after one, ``longest`` at most."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row; 0 after none."""
        if failures < 1:
            return 0.0
        # A server may be away for days: 2 ** 10,000 is not a float.
        return min(self.first * 2.0 ** min(failures - 1, 64), self.longest)

    def spread(self, failures: int) -> float:
        """The same, up to a half shorter at random, so that callers that failed together do not return together."""
        return self.after(failures) * random.uniform(0.5, 1.0)  # noqa: S311 no secret
