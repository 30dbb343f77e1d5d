"""A rank on CPU ends after its exit functions, with the status it would have had."""

import subprocess
import sys

import pytest


SCRIPT = """
import atexit
from virgo_factory.hooks.start.cpu import _leave_without_shutting_down
_leave_without_shutting_down()
atexit.register(print, "an exit function")
print("written but not flushed", end=" ")
{ending}
"""


@pytest.mark.parametrize(("ending", "status"), [("", 0), ("raise ValueError('told')", 1)])
def test_a_rank_ends_with_its_status(ending, status):
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(ending=ending)], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stdout == "written but not flushed an exit function\n"
    assert ("ValueError: told" in done.stderr) == bool(status)
