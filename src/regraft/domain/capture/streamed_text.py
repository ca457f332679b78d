"""A text that arrives in pieces: pieces run on, and a server that repeats the whole text in each piece is detected.

Pieces are kept in a list and joined once, so that the work is linear in what arrived.
"""

from __future__ import annotations

import re

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SHORT = 4  # characters that two texts may begin with by chance
_LONG = 16  # characters that are hardly repeated, one piece after the other


class StreamedText:
    """Pieces of one text. ``whole_each`` says that each piece is expected to be the text so far.

    A stream is cumulative when at least three pieces each begin with the one before, which no running text does unless
    it repeats itself. Two such pieces, or a last piece that says again all that came before it, may be either: the text
    is then ``doubtful``, and continues as a client would have shown it.
    """

    __slots__ = ("_first", "_last", "_lengths", "_longer", "_nested", "_pieces", "_whole_each")

    def __init__(self, *, whole_each: bool = False) -> None:
        self._pieces: list[str] = []
        self._lengths: list[int] = []  # of the pieces, for as long as each begins with the one before
        self._first = self._last = ""
        self._nested = True
        self._longer = 0
        self._whole_each = whole_each

    def add(self, piece: str) -> None:
        """Add the next piece."""
        if not piece:
            return
        if self._nested and piece.startswith(self._last):
            self._first = self._first or piece
            self._longer += bool(self._last) and len(piece) > len(self._last)
            self._lengths.append(len(piece))
            self._last = piece
            return
        if self._nested:
            self._pieces = [self._last[:length] for length in self._lengths]
            self._nested = False
        self._pieces.append(piece)
        self._last = piece

    @property
    def cumulative(self) -> bool:
        """Whether each piece was the text so far."""
        if not self._nested or len(self._lengths) < 2:
            return False
        return self._whole_each or (self._longer >= 2 and self._tells(self._lengths[-2]))

    @property
    def doubtful(self) -> bool:
        """Whether some of the text may have been repeated."""
        if self._whole_each or self.cumulative:
            return False
        if self._nested and self._longer == 0:
            return len(self._lengths) >= 2 and len(self._last) >= _LONG
        if self._nested:
            return len(self._lengths) == 2 and self._tells(self._lengths[0])
        before = self._pieces[:-1]
        if len(before) < 2 or sum(map(len, before)) != len(self._last) or not self._tells(len(self._last)):
            return False
        return "".join(before) == self._last

    def _tells(self, length: int) -> bool:
        """Whether a common beginning of this length is significant: not short, and not a repetition of the first
        piece."""
        if length < _SHORT or len(set(self._last[:length])) < 3:
            return False
        repeated = self._first * (len(self._last) // max(len(self._first), 1) + 1)
        return not self._first or not repeated.startswith(self._last)

    def text(self) -> str:
        """The whole text; halves of a character that came in two pieces are one again."""
        if self._nested:
            whole = self._last if self.cumulative else "".join(self._last[:length] for length in self._lengths)
        else:
            whole = "".join(self._pieces)
        return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), whole)

    def __bool__(self) -> bool:
        return bool(self._last)
