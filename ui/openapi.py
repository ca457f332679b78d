"""Write openapi.json, which the client's types are made from, from the routes themselves. ``--check`` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from regraft.presentation.web.app import make_app

FILE = Path(__file__).parent / "openapi.json"


def main() -> int:
    """Exit status: 1 where the file differs and is only compared."""
    document = json.dumps(make_app("").openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(document, encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == document:
        return 0
    print("ui/openapi.json is not what the routes are: run `make types-page`.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
