"""Write the dashboards as JSON: ``python deploy/grafana/generate.py``. ``--check`` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

sys.path.insert(0, str(Path(__file__).parent))

from boards.conversation import conversation
from boards.datasets import datasets
from boards.evaluation import evaluation
from boards.gateway import gateway
from boards.live import live
from boards.orchestrator import orchestrator

BOARDS = (live, conversation, orchestrator, evaluation, gateway, datasets)
FOLDER = Path(__file__).parent / "dashboards"


def dashboards() -> dict[Path, str]:
    """The text of each file."""
    made = {}
    for each in BOARDS:
        built = each().build()
        for number, panel in enumerate(built.panels or (), 1):
            panel.id_val = number
            if panel.targets:  # also where a panel adds a query by hand, it asks the same source
                panel.datasource = json.loads(json.dumps(panel.targets[0], cls=JSONEncoder))["datasource"]
        document = json.loads(json.dumps(built, cls=JSONEncoder))
        _drop_old_defaults(document)
        text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)
        made[FOLDER / f"{each.__name__}.json"] = text + "\n"
    return made


def _drop_old_defaults(document: dict[str, Any]) -> None:
    """Take out defaults that the SDK writes, which describes Grafana 11, and that newer types do not have."""
    for variable in document.get("templating", {}).get("list", ()):
        for key in ("auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    for panel in document["panels"]:
        if panel["type"] == "table":
            panel["options"].pop("footer", None)


def main() -> int:
    """Write what differs, or with ``--check`` only name it."""
    stale = [path for path, text in dashboards().items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path} differs: run python deploy/grafana/generate.py")
        return int(bool(stale))
    for path in stale:
        path.write_text(dashboards()[path], "utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
