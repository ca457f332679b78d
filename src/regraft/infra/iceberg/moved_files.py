"""Files of a warehouse that was moved: Iceberg stores absolute locations, and they are read at the present place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from regraft.infra.iceberg.places import FORMER, PRESENT

if TYPE_CHECKING:
    from pyiceberg.typedef import Properties


class MovedFiles(PyArrowFileIO):
    """Reads and writes what lies in a former warehouse in the present one. Other locations are left alone."""

    def __init__(self, properties: Properties) -> None:
        super().__init__(properties)
        self._former = [place.rstrip("/") + "/" for place in json.loads(properties.get(FORMER, "[]"))]
        self._present = str(properties.get(PRESENT, "")).rstrip("/") + "/"

    def present(self, location: str) -> str:
        """Where a file lies now."""
        for place in self._former:
            if location.startswith(place):
                return self._present + location.removeprefix(place)
        return location

    def new_input(self, location: str) -> PyArrowFile:
        """See FileIO."""
        return super().new_input(self.present(location))

    def new_output(self, location: str) -> PyArrowFile:
        """See FileIO."""
        return super().new_output(self.present(location))

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """See FileIO."""
        super().delete(self.present(location) if isinstance(location, str) else location)
