"""Verdicts on rollouts, made while they come in, and the difficulty of a question that follows from them."""

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import orjson

from virgo_factory import __version__
from virgo_factory.answers import Answer, Task, Verdict, grading
from virgo_factory.answers.batch import Scorers
from virgo_factory.answers.model import WRONG
from virgo_factory.io.atomic import new_file
from virgo_factory.io.index import Index
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.store.index import VERDICTS, open_index, question_file, row_at
from virgo_factory.rollouts.store.jsonl import Shard, digest, is_in_shard, rows_of, shard_suffix, shards_of
from virgo_factory.rollouts.store.rollout import Rollout, RolloutVerdict, State, rollout_of, verdict_of
from virgo_factory.rollouts.store.store import append_line, open_to_append


BATCH = 64  # verdicts that are asked for together
MOST_WAITING = 1000  # rollouts that wait for a verdict before `add` blocks; some ten thousand characters each
MOST_ANSWER = 2000  # characters of an answer that are kept


class Judge:
    """Verdicts while rollouts come in: a thread that hands them to worker processes and appends to verdicts.jsonl.

    A context manager; leaving it waits for all that was added. Only one may be open on a folder (and shard). A half-written last line is
    cut off, and verdicts of another version of this package are taken out: the file is derived, so whatever is missing is made again.
    """

    def __init__(
        self,
        folder: Path,
        shard: Shard | None = None,  # (2, 8) for the second of eight, whose file is verdicts-2of8.jsonl
        workers: int | None = None,  # processes; half of the usable cores by default, the rest is the client's
        # is called from the judge's thread with every new verdict, after it was written
        on_verdict: Callable[[RolloutVerdict], None] = lambda verdict: None,
    ) -> None:
        drop_old(folder, shard)
        self._folder, self._shard = Path(folder), shard
        self._file = open_to_append(folder / f"{VERDICTS}{shard_suffix(shard)}.jsonl")
        self._on_verdict = on_verdict
        self._scorers = Scorers(workers or max(1, len(os.sched_getaffinity(0)) // 2))
        self._waiting: queue.Queue[tuple[VisualQuestion, Rollout] | None] = queue.Queue(MOST_WAITING)
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="judge", daemon=True)
        self._thread.start()

    def add(self, question: VisualQuestion, rollout: Rollout) -> None:
        """Hand over a finished rollout; raises what stopped the judge's thread, such as a full disk.

        Blocks while very many wait, so never call it on the event loop's thread.
        """
        self._put((question, rollout))

    def check(self) -> None:
        """Raise what stopped the judge's thread, if something did: whoever waits for a verdict asks now and then."""
        if self._error:
            raise self._error

    def catch_up(self, tell: Callable[[int], None] = lambda count: None) -> int:
        """Add the rollouts of the folder that have no verdict on their response yet, and return how many these are.

        Those of questions that are not there stay without a verdict. `tell` is called with the number before the first, unless it is 0.
        """
        question_file(self._folder)  # or why there is none

        def waiting(index: Index) -> list[tuple[int, int]]:
            index.db.create_function("is_mine", 1, lambda question: is_in_shard(question, self._shard))
            return index.db.execute(
                "SELECT min(questions.place), min(rollouts.place) AS place FROM rollouts JOIN questions ON id = question "
                "WHERE outcome IS NULL AND is_mine(question) GROUP BY question, sample, model, response ORDER BY 2"
            ).fetchall()

        with open_index(self._folder) as index:
            places = index.ask(waiting)
            index.release()  # judging may take hours
            if places:
                tell(len(places))

            for question, rollout in places:
                self.add(
                    question_of(row_at(index, "questions", question)), rollout_of(row_at(index, "rollouts", rollout))
                )

        return len(places)

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for all that was added (not after an error or Ctrl-C: the next start judges what is left)."""
        try:
            if error[0] is not None:
                self._stopped = True
                with contextlib.suppress(queue.Empty):
                    while True:
                        self._waiting.get_nowait()

            with contextlib.suppress(Exception):
                self._put(None)

            self._thread.join()
        finally:
            self._file.close()

        if self._error and error[0] is None:
            raise self._error

    def _put(self, item: tuple[VisualQuestion, Rollout] | None) -> None:
        while not self._error:
            try:
                return self._waiting.put(item, timeout=1)
            except queue.Full:
                continue

        raise self._error

    def _work(self) -> None:
        try:
            while batch := self._batch():
                self._judge(batch)
        except BaseException as error:  # told to whoever adds the next one
            self._error = error
        finally:
            self._scorers.close()

    def _batch(self) -> list[tuple[VisualQuestion, Rollout]]:
        """Return what waits, at least one; nothing at the end."""
        batch = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while batch[-1] is not None and len(batch) < BATCH:
                batch.append(self._waiting.get_nowait())

        if batch[-1] is None:
            batch.pop()
            if batch:
                self._waiting.put(None)

        return batch

    def _judge(self, batch: list[tuple[VisualQuestion, Rollout]]) -> None:
        complete = [(question, rollout) for question, rollout in batch if state_of(rollout) == "complete"]
        judged = self._scorers.score([_task(question, rollout) for question, rollout in complete])
        cut = ((rollout, _CUT) for _, rollout in batch if state_of(rollout) != "complete")
        whole = ((rollout, verdict) for (_, rollout), verdict in zip(complete, judged, strict=True))
        for rollout, verdict in itertools.chain(cut, whole):
            found = rollout_verdict(rollout, verdict)
            append_line(self._file, asdict(found))
            self._on_verdict(found)
            if self._stopped:
                return


def judge_rollouts(folder: Path, workers: int | None = None) -> int:
    """Judge the rollouts of a folder that have no verdict, and return how many; the caller knows that nobody else writes there."""
    with Judge(folder, workers=workers) as judge:
        return judge.catch_up()


def read_verdicts(folder: Path) -> Iterator[RolloutVerdict]:
    """Yield the verdicts of a folder, of all its shards; of several on one rollout the last on its response counts, as the index says."""
    return rows_of(folder, VERDICTS, verdict_of)


def state_of(rollout: Rollout) -> State:
    """Return whether a rollout came to its end, and what cut it off otherwise."""
    return _STATES.get(rollout.finish_reason, "truncated")


_STATES: dict[str, State] = {"stop": "complete", "length": "truncated", "loop": "looping"}
_CUT = Verdict(WRONG, "cut_answer", "text", Answer("", "cut", "response"))


def _task(question: VisualQuestion, rollout: Rollout) -> Task:
    return Task(rollout.response, question.gold, question.asked, grading(question.grading))


def rollout_verdict(rollout: Rollout, verdict: Verdict) -> RolloutVerdict:
    """Return the verdict on a rollout's response as a line of a file of verdicts."""
    answer = verdict.answer or Answer("", "none", "response")
    return RolloutVerdict(
        *rollout.key,
        verdict=verdict.verdict,
        reason=verdict.reason,
        kind=verdict.kind,
        answer=answer.text[:MOST_ANSWER],
        rule=answer.rule,
        where=answer.where,
        state=state_of(rollout),
        version=__version__,
        response=digest(rollout.response),
    )


def drop_old(folder: Path, shard: Shard | None = None) -> None:
    """Take out of the files of verdicts, or a shard's, what another version of this package judged, and what is none."""
    for path in shards_of(folder, VERDICTS):
        if shard is not None and path.name != f"{VERDICTS}{shard_suffix(shard)}.jsonl":
            continue

        with path.open("rb") as file:
            if all(map(_is_ours, filter(_is_whole, file))):
                continue

        with path.open("rb") as old, new_file(path, "wb") as new:
            new.writelines(filter(_is_ours, filter(_is_whole, old)))


def _is_whole(line: bytes) -> bool:
    return line.endswith(b"\n")


def _is_ours(line: bytes) -> bool:
    """Whether a line is a verdict of this version."""
    try:
        return orjson.loads(line).get("version") == __version__
    except (ValueError, AttributeError):
        return False
