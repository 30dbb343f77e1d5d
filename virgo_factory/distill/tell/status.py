"""What the files of a distillation say about it: outcomes, difficulty and cost by source, and what is left to do.

Only reads, and may do so while a run writes.
"""

import hashlib
import json
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from virgo_factory.distill.config import DistillConfig, read_folder
from virgo_factory.io.index import Index
from virgo_factory.report.table import Table
from virgo_factory.report.terminal import counted
from virgo_factory.report.text import amount, quoted
from virgo_factory.rollouts.run.progress import duration
from virgo_factory.rollouts.store.index import OUTCOMES, ROLLOUTS, count_cases, open_index, records
from virgo_factory.rollouts.store.jsonl import Shard, shards_of
from virgo_factory.rollouts.store.rollout import DIFFICULTIES


UNJUDGED = "not judged yet"

DROPPED = "dropped"  # instead of a difficulty: the question cannot be asked

MOST_SOURCES = 100
MOST_REASONS = 10  # that are listed; a refusing server may have worded each of its replies on its own
OTHERS = "(further sources)"  # where questions of more than MOST_SOURCES sources are counted
LENGTH_STEP = 64  # tokens from one counted length to the next
FRESH_SECONDS = 60  # age of progress.json above which its run is not going on any more


@dataclass(frozen=True)
class Group:
    """Counts of the questions of one source, or of all."""

    questions: int
    binary: int  # how many of them are yes/no questions or have two options
    levels: Mapping[str, int]  # difficulty (or "dropped") -> questions
    binary_levels: Mapping[str, int]  # likewise, of the binary ones
    asked: int  # questions with at least one rollout of the model (not of the base model)
    outcomes: Mapping[str, int]  # of the samples: one of OUTCOMES or "not judged yet" -> rollouts
    accepted: int  # samples that are correct, complete and well formed
    tokens: int  # that the samples took
    base_asked: int  # this and the next two: the base model's greedy pass
    base_solved: int
    base_tokens: int

    @property
    def rollouts(self) -> int:
        """Samples that are there."""
        return sum(self.outcomes.values())

    @property
    def tokens_per_accepted(self) -> float | None:
        """What one row costs that may be trained on; None where there is none."""
        return self.tokens / self.accepted if self.accepted else None


@dataclass(frozen=True)
class Status:
    """What is known of a distillation."""

    config: DistillConfig
    by_source: Mapping[str, Group]  # source -> counts, in the order of questions.jsonl
    all: Group
    left: int  # samples still to be asked, at most
    base_left: int  # questions that the base model has not been asked
    dropped: Mapping[str, int]  # reason -> questions that cannot be asked, most frequent first
    stray: int  # rollouts of no question or sample of this folder; they are counted nowhere else
    twice: int  # rollouts whose key is there already, likewise
    lengths: Mapping[str, Mapping[int, int]]  # outcome -> tokens of a sample, in steps of LENGTH_STEP -> how many
    correct_of: Mapping[int, int]  # number of correct samples -> questions of which all samples are judged
    # (i, n) of those that the folder holds, where it holds no whole run: only their questions are counted
    shards: tuple[Shard, ...]
    elsewhere: int  # questions of the other shards
    running: tuple[int, ...]  # pids of the runs that write to the folder now
    tokens_per_second: float | None  # of these runs, or of the last one; None where it is not known
    seconds_left: float | None  # at that speed; None where it is not known, 0 where nothing is left
    # id -> difficulty of the questions that were drawn, see `summarise`
    chosen: Mapping[str, str] = field(default_factory=dict)


def summarise(folder: Path, choose: int = 0, seed: int = 0, lengths: bool = True) -> Status:
    """Return the status of a distillation's folder; ValueError where it is none, or a file in it is broken.

    With `choose` so many questions that have rollouts are drawn by the seed, as many of each difficulty as can be. `lengths` are half a
    second for a million rollouts.
    """
    config = read_folder(folder)
    with open_index(folder) as index:
        return index.ask(lambda index: _status(index, config, choose, seed, lengths))


def _status(index: Index, config: DistillConfig, choose: int, seed: int, lengths: bool) -> Status:
    db, folder, samples = index.db, config.output_dir, config.samples
    shards = _shards_in(folder)
    count_cases(index, samples, shards)
    db.execute(f"UPDATE cases SET level = '{DROPPED}' WHERE dropped AND samples < {samples}")
    by_source: dict[str, Counter[str]] = {}
    everything: Counter[str] = Counter()
    for place, row in enumerate(records(index, _BY_SOURCE)):
        name = row.pop("source")
        counts = Counter({column: count or 0 for column, count in row.items()})
        everything.update(counts)
        by_source.setdefault(name if place < MOST_SOURCES else OTHERS, Counter()).update(counts)

    open_ = "level = 'undecided'" if config.stop_when_decided else f"level NOT IN ('easy', '{DROPPED}')"
    left, base_left = db.execute(
        f"SELECT ifnull(sum({samples} - samples), 0), ifnull(sum(1 - base), 0) FROM cases WHERE {open_}"
    ).fetchone()
    base_left = base_left if config.base_model_name_or_path else 0
    correct_of = dict(db.execute(f"SELECT correct, count(*) FROM cases WHERE judged = {samples} GROUP BY 1"))
    of_cases = "FROM rollouts WHERE question IN (SELECT id FROM cases)"
    steps: dict[str, dict[int, int]] = {}
    for outcome, step, count in (
        db.execute(
            f"SELECT outcome, tokens / {LENGTH_STEP}, count(*) {of_cases} AND sample BETWEEN 0 AND {samples - 1} AND NOT again "
            "GROUP BY 1, 2 ORDER BY 2"
        )
        if lengths
        else ()
    ):
        steps.setdefault(outcome or UNJUDGED, {})[step] = count

    reasons = db.execute(
        "SELECT reason, count(*) FROM (SELECT question, reason, min(d.place) AS first FROM dropped AS d JOIN cases "
        f"ON id = question WHERE level = '{DROPPED}' GROUP BY question) GROUP BY 1 ORDER BY 2 DESC, min(first)"
    )
    in_questions, all_rows, counted, twice = db.execute(
        "SELECT (SELECT count(*) FROM questions), (SELECT count(*) FROM rollouts), (SELECT ifnull(sum(base + samples), 0) FROM "
        f"cases), (SELECT count(*) {of_cases} AND again AND sample < {samples})"
    ).fetchone()
    running, rollouts_per_second, tokens_per_second = _speed(folder)
    seconds_left = 0.0 if not left and not base_left else None
    if seconds_left is None and rollouts_per_second:
        seconds_left = (left + base_left) / rollouts_per_second

    return Status(
        config=config,
        by_source={name: _group(row) for name, row in by_source.items()},
        all=_group(everything),
        left=left,
        base_left=base_left,
        dropped=dict(reasons.fetchall()),
        stray=all_rows - twice - counted,
        twice=twice,
        lengths={name: steps[name] for name in (*OUTCOMES, UNJUDGED) if name in steps},
        correct_of={number: correct_of.get(number, 0) for number in range(samples + 1)},
        shards=shards,
        elsewhere=in_questions - everything["questions"],
        running=running,
        tokens_per_second=tokens_per_second,
        seconds_left=seconds_left,
        chosen=_choose(index, choose, seed) if choose else {},
    )


_LEVELS = (*DIFFICULTIES, DROPPED)
_SUMS = {
    "asked": "samples > 0",
    "unjudged": "samples - judged",
    "base_asked": "base",
    "base_solved": "solved",
    "binary": "is_binary",
    **{name: name for name in (*OUTCOMES, "accepted", "tokens", "base_tokens")},
    **{level: f"level = '{level}'" for level in _LEVELS},
    **{f"binary_{level}": f"level = '{level}' AND is_binary" for level in _LEVELS},
}
_BY_SOURCE = (
    f"SELECT source, count(*) AS questions, {', '.join(f'sum({what}) AS {name}' for name, what in _SUMS.items())} "
    "FROM cases GROUP BY source ORDER BY min(place)"
)


def _group(counts: Mapping[str, int]) -> Group:
    """Return the counts that _BY_SOURCE gives."""
    names = [field.name for field in fields(Group) if field.name not in ("levels", "binary_levels", "outcomes")]
    return Group(
        **{name: counts[name] for name in names},
        levels={level: counts[level] for level in _LEVELS},
        binary_levels={level: counts[f"binary_{level}"] for level in _LEVELS},
        outcomes={name: counts[name] for name in OUTCOMES}
        | ({UNJUDGED: counts["unjudged"]} if counts["unjudged"] else {}),
    )


def _choose(index: Index, count: int, seed: int) -> dict[str, str]:
    """Draw questions that have rollouts, as evenly over the levels as there are such; those of a level together."""
    drawn: dict[str, list[tuple[bytes, str]]] = {}
    for level, id in index.db.execute("SELECT level, id FROM cases WHERE base OR samples"):
        drawn.setdefault(level, []).append((hashlib.sha256(f"{seed}:{id}".encode()).digest()[:8], id))

    share = _shares({level: len(ids) for level, ids in drawn.items()}, count)
    return {id: level for level in MOST_TELLING for _, id in sorted(drawn.get(level, ()))[: share.get(level)]}


def _shards_in(folder: Path) -> tuple[Shard, ...]:
    names = [path.name for path in shards_of(folder, ROLLOUTS)]
    found = [re.fullmatch(rf"{ROLLOUTS}-(\d+)of(\d+)\.jsonl", name) for name in names]
    return tuple(sorted((int(match[1]), int(match[2])) for match in found)) if all(found) else ()


MOST_TELLING = ("medium", "hard", "unsolved", "undecided", "easy", DROPPED)
"""The order in which questions of these difficulties are shown."""


def _shares(sizes: Mapping[Any, int], count: int) -> dict[Any, int]:
    """Return how many to take of each: the same number, or all of those that have fewer.

    >>> _shares({1: 100, 2: 3, 3: 50}, 20)
    {2: 3, 3: 8, 1: 9}
    """
    shares = {}
    for place, name in enumerate(sorted(sizes, key=sizes.__getitem__)):
        shares[name] = min(sizes[name], count // (len(sizes) - place))
        count -= shares[name]

    return shares


def _speed(folder: Path) -> tuple[tuple[int, ...], float | None, float | None]:
    """Return pids of the runs that go on, and rollouts and tokens a second: theirs, or of those that went last; None if untold."""
    told = []
    for path in sorted(folder.glob("progress*.json")):
        try:
            age = time.time() - path.stat().st_mtime
            row = json.loads(path.read_text(encoding="utf-8"))
            is_running = row["running"] is True and age < FRESH_SECONDS
            told.append((is_running, row["pid"], float(row["rollouts_per_second"]), float(row["tokens_per_second"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is only for this number

    running = tuple(pid for is_running, pid, *_ in told if is_running)
    going = [row for row in told if row[0]] or told
    return running, *((sum(row[at] for row in going) if going else None) for at in (2, 3))


def tables_of(status: Status) -> tuple[Table, Table]:
    """Return the questions and the rollouts by source, all of them in the last line where there are several.

    Below the questions stands the share of each difficulty that is answered by yes or no, or by one of two options.
    """
    groups = [*status.by_source.items(), *([("all", status.all)] if len(status.by_source) > 1 else [])]
    total = status.all
    levels = [*DIFFICULTIES, *([DROPPED] if total.levels[DROPPED] else [])]
    questions = [(name, group.questions, *(group.levels[level] for level in levels)) for name, group in groups]
    styles = {len(groups) - 1: "bold"} if len(groups) > 1 else {}
    if total.binary:
        shares = (
            f"{total.binary_levels[level] / total.levels[level]:.0%}" if total.levels[level] else ""
            for level in levels
        )
        questions.append(("yes/no or 1 of 2", f"{total.binary / total.questions:.0%}", *shares))

    rollouts = [
        (
            *(name, group.rollouts, *(group.outcomes[outcome] for outcome in OUTCOMES), group.tokens, group.accepted),
            f"{group.tokens_per_accepted:,.0f}" if group.tokens_per_accepted else "-",
        )
        for name, group in groups
    ]
    return (
        Table("Questions", ("", "questions", *levels), questions, styles={**styles, len(groups): "dim"}),
        Table("Rollouts", ("", "rollouts", *OUTCOMES, "tokens", "accepted", "per accepted"), rollouts, styles=styles),
    )


def headline(status: Status) -> str:
    """Return whose distillation it is."""
    config = status.config
    base = f", base model {config.base_model_name_or_path}" if config.base_model_name_or_path else ""
    asked = f"{amount(status.all.questions, 'question')}, {config.samples} rollouts each by {config.model_name_or_path}{base}"
    return f"{config.output_dir}: {asked}"


def lines_of(status: Status) -> list[str]:
    """Return what the tables leave out: the base model, what is not counted in them, what is left, and what to enter next."""
    config, group, lines = status.config, status.all, []
    if status.elsewhere:
        lines.append(f"Of shard {_shards(status)}; {status.elsewhere:,} questions are in the others")

    if config.base_model_name_or_path:
        share = f" ({group.base_solved / group.base_asked:.1%})" if group.base_asked else ""
        lines.append(
            f"Base model: {group.base_asked:,} of {group.questions:,} questions asked, {group.base_solved:,}{share} solved, "
            f"{group.base_tokens:,} tokens"
        )

    if malformed := group.outcomes["correct"] - group.accepted:
        lines.append(f"Accepted: correct, complete and well formed; {malformed:,} correct ones are malformed")

    if waiting := group.outcomes.get(UNJUDGED):
        lines.append(
            f"{amount(waiting, 'rollout is', 'rollouts are')} not judged yet; the run does it, and so does select"
        )

    for count, words in ((status.stray, "of no question of this folder"), (status.twice, "there twice")):
        if count:
            lines.append(f"{amount(count, 'rollout is', 'rollouts are')} {words}; not counted")

    if status.dropped:
        lines.append(f"{amount(sum(status.dropped.values()), 'question')} cannot be asked:")
        lines += counted(list(status.dropped.items())[:MOST_REASONS], width=7)
        if len(status.dropped) > MOST_REASONS:
            lines.append(f"  and {len(status.dropped) - MOST_REASONS:,} more reasons (--json has them)")

    return [*lines, *_next(status)]


def _next(status: Status) -> Iterator[str]:
    """Yield what is left, how long it takes, and the command for it."""
    folder = shlex.quote(str(status.config.output_dir))
    time_left = f"about {duration(status.seconds_left)}" if status.seconds_left else ""
    left = [f"{status.base_left:,} of the base model"] if status.base_left else []
    if status.left:
        most = " at most" if status.base_left or status.config.stop_when_decided else ""
        left.append(f"{amount(status.left, 'rollout')}{most}")

    if status.running:
        speed = f"{status.tokens_per_second:,.0f} tokens/s" if status.tokens_per_second else ""
        told = ", ".join(filter(None, (speed, time_left and f"{time_left} left")))
        yield f"Running (process {', '.join(map(str, status.running))}){': ' if told else ''}{told}"
        time_left = ""

    if left:
        yield f"Left: {' and '.join(left)}" + (f", {time_left} at the last run's speed" if time_left else "")

    if status.running:
        return

    if left or not status.all.questions:
        part = f" --shard {_shards(status)}" if len(status.shards) == 1 else ""
        each = f" --shard I/N, for each of {_shards(status)}" if len(status.shards) > 1 else ""
        yield f"Go on: virgo-factory distill resume {quoted(folder)}{part}{each}"
    elif status.all.levels[DROPPED] and not status.all.rollouts:
        yield f"No question got a response. Remove dropped.jsonl to try them again: virgo-factory distill resume {quoted(folder)}"
    elif status.elsewhere:
        yield f"All of shard {_shards(status)} is asked. When all shards are: virgo-factory distill merge"
    else:
        yield f"All is asked. Choose what is trained on: virgo-factory distill select {quoted(folder)}"


def _shards(status: Status) -> str:
    return ", ".join(f"{index}/{count}" for index, count in status.shards)


def to_json(status: Status) -> dict[str, Any]:
    """Return the numbers for programs; of the config what they follow from."""
    groups = {name: _group_json(group) for name, group in status.by_source.items()}
    names = (
        "left",
        "base_left",
        "dropped",
        "stray",
        "twice",
        "correct_of",
        "elsewhere",
        "running",
        "tokens_per_second",
    )
    return {
        "config": status.config.shapes(),
        "all": _group_json(status.all),
        "by_source": groups,
        **{name: getattr(status, name) for name in (*names, "seconds_left")},
        "shards": [list(shard) for shard in status.shards],
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {**asdict(group), "rollouts": group.rollouts, "tokens_per_accepted": group.tokens_per_accepted}
