"""Many at once: order, a hung worker that is killed and replaced, memory, progress."""

import pytest

from virgo_factory.answers import Answer, Question, Task, score_many


# So long that looking for its answer takes several times the limit below.
SLOW = Task("\\boxed{ " * 6_000_000, "7")


def _number(value: int, gold: int) -> Task:
    return Task(f"So it is \\boxed{{{value}}}.", str(gold))


@pytest.mark.slow
def test_order_is_kept_and_progress_told():
    told = []
    tasks = (_number(index, index + (index % 7 == 0)) for index in range(1000))
    verdicts = list(score_many(tasks, workers=2, progress=told.append))
    assert [verdict.verdict for verdict in verdicts] == [
        "wrong" if index % 7 == 0 else "correct" for index in range(1000)
    ]
    assert told == list(range(1, 1001))


@pytest.mark.slow
def test_tasks_are_read_as_they_are_needed():
    read = []

    def tasks():
        for index in range(100_000):
            read.append(index)
            yield _number(index, index)

    verdicts = score_many(tasks(), workers=1)
    assert next(verdicts).verdict == "correct"
    assert len(read) < 1000
    verdicts.close()


@pytest.mark.slow
def test_a_hung_worker_is_killed_and_the_others_are_scored():
    tasks = [_number(1, 1), Task(r"\boxed{x+x}", "2x"), SLOW, _number(2, 2), _number(3, 4), Task(r"\boxed{y+y}", "2y")]
    verdicts = list(score_many(tasks, workers=1, seconds=1.0))
    assert [verdict.verdict for verdict in verdicts] == [
        "correct",
        "correct",
        "unverifiable",
        "correct",
        "wrong",
        "correct",
    ]
    assert verdicts[2].reason == "timeout"


@pytest.mark.slow
def test_nothing_ends_a_batch():
    tasks = [
        Task("\\boxed{" * 100_000, "1"),
        Task("\\boxed{9**9**9}", "1"),
        Task(None, "1"),
        Task("\\boxed{1}", None),
        Task("\\boxed{1}", object),
        Task(Answer("B", "given", "given"), "B", Question(options=("red", "blue"))),
        Task("\\boxed{1}", "1", Question(options=("", ""), kind="choice")),
    ]
    verdicts = list(score_many(tasks, workers=1))
    assert len(verdicts) == len(tasks)
    assert verdicts[-2].verdict == "correct"
    assert list(score_many([], workers=1)) == []


def test_a_failing_source_reaches_the_caller():
    def tasks():
        yield _number(1, 1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        list(score_many(tasks(), workers=1))
