"""A snapshot in the registry that was never frozen, for tests of its display."""

from __future__ import annotations

from typing import Any


def register(connection: Any, snapshot_id: str, **columns: Any) -> None:
    """Add a snapshot; ``columns`` win over what it holds else."""
    row: dict[str, Any] = {
        "snapshot_id": snapshot_id,
        "dataset": "good",
        "kind": "sft",
        "recipe": 'name = "good"',
        "recipe_hash": b"\1",
        "code_version": "0.1",
        "lineage_build": 3,
        "iceberg_table": "regraft.good",
        "iceberg_snapshot_id": 7,
        "iceberg_tag": snapshot_id,
        "row_counts": '{"train": 2}',
        "refused": "{}",
        "leakage": "{}",
        "content_hash": b"\2\xff",
        "hash_version": 1,
        "created_at": "2026-01-01T00:00:00Z",
        **columns,
    }
    places = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO dataset_snapshot_registry ({', '.join(row)}) VALUES ({places})".encode(), row)
