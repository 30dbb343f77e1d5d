"""What tests of several modules write and call."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import call
from tests.jsonl import write_jsonl as write
from virgo_factory.data.check.audit import audit
from virgo_factory.data.read.source import find_sources


__all__ = ["call", "write"]


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Checks rows: name of a file -> its rows."""
    monkeypatch.chdir(tmp_path)

    def check(files, settings=None, entry=None, **more):
        info = {}
        for name, rows in files.items():
            Path(name).write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
            info[Path(name).stem] = {"file_name": name, "formatting": "long_thought", **(entry or {})}

        Path("dataset_info.json").write_text(json.dumps(info))
        sources, found = find_sources(",".join(info), **(settings or {}))
        return audit(sources, found, cache=None, workers=1, **more)

    return check
