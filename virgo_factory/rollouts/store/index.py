"""What is known of a folder of rollouts, as tables: questions, rollouts with what their verdicts say, dropped questions."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from virgo_factory import __version__
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.index import Index, Source
from virgo_factory.rollouts.config import response_format_of
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.prompt import asked_text
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import is_binary, is_blank, question_of
from virgo_factory.rollouts.store.jsonl import Shard, hash_of, is_in_shard, shards_of
from virgo_factory.rollouts.store.rollout import GREEDY, check_rollout, difficulty_of, verdict_of


ASK_AGAIN = ". Remove the line, and the next start asks it again."
ROLLOUTS, VERDICTS, DROPPED = "rollouts", "verdicts", "dropped"

VERDICT = """FROM verdicts AS v WHERE v.question = rollouts.question AND v.sample = rollouts.sample AND v.model = rollouts.model
    AND ifnull(v.response, rollouts.response) = rollouts.response ORDER BY v.place DESC LIMIT 1"""
"""The verdict on a rollout: of those on this very response (old ones do not say on which) the last."""

_SETTLE = f"""UPDATE rollouts SET outcome = (SELECT v.outcome {VERDICT}),
    reason = coalesce(malformed, CASE (SELECT asked FROM questions WHERE id = question)
        WHEN thought THEN 'the thought repeats the question' WHEN solution THEN 'the solution repeats the question' END),
    again = EXISTS (SELECT 1 FROM rollouts AS r WHERE r.question = rollouts.question AND r.sample = rollouts.sample
        AND r.place < rollouts.place)"""

SCHEMA = (
    "CREATE TABLE questions (place INTEGER PRIMARY KEY, id TEXT, source TEXT, is_binary INTEGER, asked INTEGER, hash INTEGER)",
    "CREATE INDEX questions_by_id ON questions (id)",
    "CREATE TABLE rollouts (question TEXT, sample INTEGER, place INTEGER, model INTEGER, tokens INTEGER, length INTEGER, "
    "response INTEGER, malformed TEXT, thought INTEGER, solution INTEGER, outcome TEXT, reason TEXT, again INTEGER DEFAULT 0, "
    "PRIMARY KEY (question, sample, place)) WITHOUT ROWID",
    "CREATE TABLE verdicts (question TEXT, sample INTEGER, place INTEGER, model INTEGER, outcome TEXT, response INTEGER, "
    "PRIMARY KEY (question, sample, place)) WITHOUT ROWID",
    "CREATE TABLE dropped (question TEXT, model INTEGER, place INTEGER, reason TEXT, PRIMARY KEY (question, model, place)) "
    "WITHOUT ROWID",
    *(
        f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN {_SETTLE} WHERE {where.format(row)}; END"
        for table, where in (
            ("questions", "question = {0}.id"),
            ("rollouts", "question = {0}.question AND sample = {0}.sample"),
            ("verdicts", "question = {0}.question AND sample = {0}.sample"),
        )
        for event, row in (("INSERT", "NEW"), ("DELETE", "OLD"))
    ),
)
"""A row of rollouts ends with what follows from the other tables: the outcome (NULL without a verdict), why it is not well
formed (NULL if it is; the question repeated as check_example says), and whether its sample is there already."""


def open_index(folder: Path, response_format: str | None = None, is_own: bool = False) -> Index:
    """Return the index of a folder; nothing is read until it is synced.

    Responses are well formed by `response_format`, the folder's own by default; another one's index is not kept. For `is_own` see Index.
    """
    own, questions = response_format_of(folder), folder / QUESTIONS
    wanted = response_format or own
    sources = (
        Source("questions", ("id", "source", "is_binary", "asked", "hash"),
               lambda: [questions] if questions.is_file() else [], _question),  # none yet: a run still collects them
        Source(
            VERDICTS, ("question", "sample", "model", "outcome", "response"), lambda: shards_of(folder, VERDICTS), _verdict
        ),
        Source(
            ROLLOUTS,
            ("question", "sample", "model", "tokens", "length", "response", "malformed", "thought", "solution"),
            lambda: shards_of(folder, ROLLOUTS),
            lambda row: _rollout(row, wanted),
            ASK_AGAIN,
        ),
        Source(
            DROPPED, ("question", "model", "reason"), lambda: shards_of(folder, DROPPED), _dropped, ". Remove the line, and it is tried again."
        ),
    )  # fmt: skip
    return Index(folder, sources, SCHEMA, f"{__version__} {wanted}", is_own=is_own or wanted != own)


def question_file(folder: Path) -> Path:
    """Return the file of a folder's questions; ValueError where there is none."""
    if not (folder / QUESTIONS).is_file():
        raise UserError(f"{folder / QUESTIONS}: no such file, so nothing is known of the questions.")

    return folder / QUESTIONS


@functools.cache
def model_hash(model: str) -> int:
    """Return what stands for a model in the tables."""
    return _signed(hash_of(model))


def row_at(index: Index, table: str, place: int) -> dict[str, Any]:
    """Return the row that a line holds."""
    return json.loads(index.line(table, place))


def records(index: Index, select: str) -> list[dict[str, Any]]:
    """Return the rows of a query by the names of its columns."""
    cursor = index.db.execute(select)
    names = [name for name, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def count_cases(index: Index, samples: int, shards: Sequence[Shard] = ()) -> None:
    """Make `cases` of an index that was synced: a row for each question (of `shards`, if any), with what its rollouts are.

    cases has place, id, source, is_binary and hash of the question, `dropped` (a server refused it); base (whether the greedy
    rollout is there), solved (NULL where that is not judged), base_tokens; samples (that are there, each once) and of these correct, wrong,
    unverifiable, truncated and looping (together: judged), tokens, accepted (correct and well formed); of correct ones that
    are not the first and the last reason by the alphabet; and level, its difficulty by `samples`, the number that each gets.
    """
    db = index.db
    level = functools.cache(lambda correct, wrong, solved: difficulty_of(correct, wrong, samples, bool(solved)))
    db.create_function("level", 3, level, deterministic=True)
    db.create_function("in_shard", 1, lambda id: any(is_in_shard(id, shard) for shard in shards), deterministic=True)
    db.execute("DROP TABLE IF EXISTS temp.cases")
    outcomes = ", ".join(f"count(*) FILTER (WHERE {_SAMPLE} AND outcome = '{name}') AS {name}" for name in OUTCOMES)
    db.execute(f"""
        CREATE TEMP TABLE cases AS
        SELECT q.place, id, source, is_binary, hash, EXISTS (SELECT 1 FROM dropped WHERE dropped.question = id) AS dropped,
            solved, first_reason, last_reason, {", ".join(f"ifnull({name}, 0) AS {name}" for name in _COUNTS)},
            ifnull(correct + wrong + unverifiable + truncated + looping, 0) AS judged,
            level(ifnull(correct, 0), ifnull(wrong + truncated + looping, 0), solved) AS level
        FROM questions AS q LEFT JOIN (
            SELECT question, count(*) FILTER (WHERE sample = {GREEDY}) AS base,
                max(outcome = 'correct') FILTER (WHERE sample = {GREEDY}) AS solved,
                sum(tokens) FILTER (WHERE sample = {GREEDY}) AS base_tokens,
                count(*) FILTER (WHERE {_SAMPLE}) AS samples, {outcomes}, sum(tokens) FILTER (WHERE {_SAMPLE}) AS tokens,
                count(*) FILTER (WHERE {_SAMPLE} AND outcome = 'correct' AND reason IS NULL) AS accepted,
                min(reason) FILTER (WHERE {_SAMPLE} AND outcome = 'correct') AS first_reason,
                max(reason) FILTER (WHERE {_SAMPLE} AND outcome = 'correct') AS last_reason
            FROM rollouts WHERE sample < {samples} AND NOT again GROUP BY question
        ) ON question = id {"WHERE in_shard(id)" if shards else ""}""")


OUTCOMES = ("correct", "wrong", "unverifiable", "truncated", "looping")
_COUNTS = ("base", "base_tokens", "samples", *OUTCOMES, "tokens", "accepted")
_SAMPLE = f"sample <> {GREEDY}"


def _question(row: Any) -> Sequence[object]:
    try:
        question = question_of(row)
    except RejectedRow as error:
        raise UserError(str(error)) from None

    if is_blank(question.gold):
        raise UserError(f"(id {question.id}) no gold answer, so nothing can be checked against it.")

    asked = _mark(asked_text(question).replace(IMAGE, "").strip())
    return question.id, question.source, is_binary(question), asked, _signed(hash_of(question.id))


def _rollout(row: Any, response_format: str) -> Sequence[object]:
    check_rollout(row)
    response, found, malformed = row["response"], None, None
    if row["finish_reason"] == "stop" and row["sample"] != GREEDY:
        found, malformed = read_thought(response, response_format)

    marks = (_mark(found.thought), _mark(found.solution)) if found else (None, None)
    columns = row["question"], row["sample"], model_hash(row["model"]), row["completion_tokens"], len(response)
    return *columns, _signed(hash_of(response)), malformed or None, *marks


def _verdict(row: Any) -> Sequence[object]:
    verdict = verdict_of(row)
    response = _signed(int(verdict.response, 16)) if verdict.response else None
    return verdict.question, verdict.sample, model_hash(verdict.model), verdict.outcome, response


def _dropped(row: Mapping[str, Any]) -> Sequence[object]:
    if {type(row.get(name)) for name in ("question", "model", "reason")} != {str}:
        raise UserError("not a dropped question")

    return row["question"], model_hash(row["model"]), row["reason"]


def _mark(text: str) -> int:
    """Return what tells whether two texts are the same: of their length and beginning, since most are long."""
    return _signed(hash_of(f"{len(text)} {text[:500]}"))


def _signed(number: int) -> int:
    """Return 64 bits as SQLite holds them."""
    return number - (1 << 64) if number >> 63 else number
