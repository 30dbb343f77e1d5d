"""What tests of several modules write and call."""

from tests.cli.conftest import call
from tests.jsonl import write_jsonl as write


__all__ = ["call", "write"]
