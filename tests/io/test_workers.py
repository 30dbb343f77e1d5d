"""Worker processes: order, hung and dying workers, errors, memory, and an end with their parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.io.acting import cannot_be_made, make_acting
from virgo_factory.io.workers import Known, Lost, Workers


@pytest.fixture
def workers():
    made = []

    def make(*arguments, function=make_acting, **options):
        made.append(Workers(function, *arguments, **options))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


@pytest.mark.parametrize("options", [{}, {"ahead": True}, {"batch": 8, "window": 256, "seconds": 60}])
def test_order_is_kept_and_one_map_follows_another(workers, options):
    pool = workers(2, **options)
    items = [Known("known") if number % 3 == 0 else number for number in range(100)]
    wanted = ["known" if number % 3 == 0 else 2 * number for number in range(100)]
    assert list(pool.map(items)) == wanted
    assert list(pool.map(items)) == wanted
    assert list(pool.map([])) == []


def test_items_are_taken_as_they_are_needed(workers):
    taken = []

    def items():
        for number in range(10_000):
            taken.append(number)
            yield Known(number) if number % 2 else number

    results = workers(1, window=16).map(items())
    assert next(results) == 0
    assert len(taken) <= 16


@pytest.mark.slow
def test_a_hung_worker_is_killed_and_the_others_are_done(workers):
    items = [1, ("sleep", 60), 2, 3, ("sleep", 60), 4]
    results = list(workers(1, seconds=0.5, batch=3, window=256).map(items))
    assert [result for result in results if not isinstance(result, Lost)] == [2, 4, 6, 8]
    assert [(lost.item, lost.reason) for lost in results if isinstance(lost, Lost)] == [
        (("sleep", 60), "timeout"),
        (("sleep", 60), "timeout"),
    ]


@pytest.mark.parametrize(
    ("item", "exitcode"), [(("exit", 3), 3), (("kill", signal.SIGKILL), -9), (("kill", signal.SIGSEGV), -11)]
)
@pytest.mark.parametrize("options", [{"ahead": True}, {"batch": 4}])
def test_of_a_worker_that_dies_the_item_is_known(workers, item, exitcode, options):
    assert list(workers(2, **options).map([1, 2, item, 3, 4])) == [2, 4, Lost(item, "crashed", exitcode), 6, 8]


def test_what_the_function_raises_reaches_the_caller(workers):
    with pytest.raises(ValueError, match="row 7"):
        list(workers(2).map([1, ("raise", "row 7"), 2]))


def test_so_does_what_stops_its_making(workers):
    with pytest.raises(OSError, match="no tokenizer there"):
        list(workers(1, function=cannot_be_made).map([1]))


def test_what_the_source_raises_reaches_the_caller(workers):
    def items():
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(workers(1).map(items()))


def test_a_worker_has_no_more_memory_than_it_may(workers):
    pool = workers(1, memory=4 * 2**30)
    with pytest.raises(MemoryError):
        list(pool.map([("memory", 8 * 2**30)]))


@pytest.mark.slow
def test_large_items_and_results_do_not_wait_for_each_other(workers):
    items = [b"y" * 2_000_000, ("big", 2_000_000)] * 20
    assert [len(result) for result in workers(2, ahead=True).map(items)] == [4_000_000, 2_000_000] * 20


PARENT = """
import sys
from acting import make_acting
from virgo_factory.io.workers import Workers

if __name__ == "__main__":
    pool = Workers(make_acting, 1, ahead=True)
    results = pool.map([1, ("sleep", 600), ("sleep", 600)])
    next(results)
    print(pool._workers[0].process.pid, flush=True)
    next(results)
"""


@pytest.mark.slow
def test_they_end_with_their_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(300):
        if not os.path.exists(f"/proc/{worker}"):
            return

        time.sleep(0.1)

    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker lives on")
