"""Where the files of a warehouse lie now: it may have been moved since Iceberg stored their locations."""

from __future__ import annotations

import json
from collections.abc import Collection

FORMER = "regraft.warehouse.former"  # a JSON list of warehouses
PRESENT = "regraft.warehouse.present"
IMPLEMENTATION = "regraft.infra.iceberg.moved_files.MovedFiles"


def present(io: object, location: str) -> str:
    """Where a file of a table lies now, by the table's ``io``."""
    find = getattr(io, "present", None)
    return str(find(location)) if find else location


def moved_properties(locations: Collection[tuple[str, str]], namespace: str, warehouse: str) -> dict[str, str]:
    """Catalog properties with which the tables of former warehouses are found in this one; empty if none was moved.

    ``locations`` are tables by their names, with where the metadata of each was written.
    """
    former = set()
    for name, location in locations:
        root, found, _ = location.rpartition(f"/{namespace}/{name}/metadata/")
        if found and root != warehouse.rstrip("/"):
            former.add(root)
    if not former:
        return {}
    # The longest first: one former place may lie within another.
    places = sorted(former, key=lambda place: (-len(place), place))
    return {"py-io-impl": IMPLEMENTATION, FORMER: json.dumps(places), PRESENT: warehouse}
