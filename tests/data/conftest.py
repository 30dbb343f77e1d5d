"""What tests of several modules write and call."""

import json
from pathlib import Path

from tests.cli.conftest import call


__all__ = ["call", "write"]


def write(path: Path, rows: list) -> Path:
    """Write rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
