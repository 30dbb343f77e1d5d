"""A synthesis from its configuration to its rows: each stage is asked, then made, and the next begins when it is whole."""

import functools
import heapq
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.io.atomic import new_folder, replace_file
from virgo_factory.io.files import check_folder, made_folder
from virgo_factory.rollouts.config import common_config
from virgo_factory.rollouts.run.launch import check_config, sigterm_interrupts
from virgo_factory.rollouts.run.run import Event
from virgo_factory.rollouts.servers.client import Refused, Unavailable, WrongServer
from virgo_factory.rollouts.servers.server import ServerError
from virgo_factory.rollouts.store.index import DROPPED
from virgo_factory.rollouts.store.jsonl import lines_of
from virgo_factory.rollouts.store.store import lock
from virgo_factory.synthesis.config import FILE, ROLES, SynthesisConfig, read_folder
from virgo_factory.synthesis.questions.votes import BLIND
from virgo_factory.synthesis.run.asking import RoleAsking
from virgo_factory.synthesis.run.folder import DPO, PROMPTS, REPLIES, SCENES, SFT, Account, Folder
from virgo_factory.synthesis.run.steps import STEPS, Asked, Made
from virgo_factory.synthesis.thoughts import export
from virgo_factory.synthesis.words import Scene, of_row


@dataclass
class Outcome:
    """How a start ended, if no error ended it.

    Attributes:
        finished: replies of this start.
        gave_up: requests that failed too often; the next start asks them again.
        dropped: what could not be asked.
        stopped: the budget that ended it; empty where all is done.
        waits: the file of replies that it ended at; empty where all is done.
        left: replies that this file lacks.
    """

    finished: int = 0
    gave_up: int = 0
    dropped: int = 0
    stopped: str = ""
    waits: str = ""
    left: int = 0


OnMade = Callable[[str, Account], None]


def synthesize(
    config: SynthesisConfig,
    on_event: Callable[[Event], None] = lambda event: None,
    on_made: OnMade = lambda name, account: None,
) -> Outcome:
    """Do what is still to be done of a synthesis, and return how that ended.

    Args:
        config: its `output_dir` is the folder, which is made, or gone on with.
        on_event: see Event.
        on_made: called with each file that was made, and what became of what went into it.

    Raises:
        ValueError: another process works on the folder, the configuration is not the folder's, a name of its entries is taken,
            a file is broken, a server is a wrong one, dies, or none answers any more.
        OSError: rows cannot be written.
        KeyboardInterrupt: SIGINT or SIGTERM; everything that was finished is in the files.
    """
    check_folder(config.output_dir)
    with sigterm_interrupts(), made_folder(config.output_dir), Folder(config) as folder:
        check_replies(config)
        for step in STEPS:
            if isinstance(step, Made):
                step.check(folder)

        if not config.shard:
            export.new_entries(
                config.dataset_dir, _entries(config)
            )  # a name that is taken is told before anybody is asked

        replace_file(config.output_dir / FILE, config.text().encode())
        (config.output_dir / f"{DROPPED}.jsonl").unlink(missing_ok=True)  # tried again, and told again
        try:
            deadline = time.monotonic() + 3600 * config.max_hours if config.max_hours else math.inf
            outcome = _go(folder, on_made, lambda *of: _asking(folder, *of, on_event, deadline))
        except (WrongServer, Refused, Unavailable, ServerError) as error:
            there = f"What was finished is in {folder.path}. Go on: {config.resume_command()}"
            raise UserError(f"{error}\n{there}") from error

        if not (outcome.waits or config.shard):
            _write_entries(config)

        return outcome


def check_replies(config: SynthesisConfig) -> None:
    """Raise ValueError where replies are there that another configuration made; a role may change until it has some."""
    there = functools.cache(functools.partial(replies_of, config.output_dir))

    def matters(key: str) -> bool:
        role = key.partition(".")[0]
        return any(count for name, (count, _) in there().items() if name == role or role not in ROLES)

    check_config(config, matters)


def replies_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return how many replies of each role are there, and their tokens."""
    found = dict.fromkeys(ROLES, (0, 0))
    for step in STEPS:
        path = folder / f"{step.name}.jsonl"
        for _, row in lines_of(path) if isinstance(step, Asked) and path.is_file() else ():
            role = step.roles[row.get("mode") == BLIND]
            count, tokens = found[role]
            found[role] = count + 1, tokens + row.get("completion_tokens", 0)

    return found


def merge(
    folders: Sequence[Path],
    out: Path,
    on_made: OnMade = lambda name, account: None,
    overrides: Sequence[str] = (),
) -> tuple[SynthesisConfig, dict[str, int], Outcome]:
    """Put the shards of a synthesis together into a new folder, and make its files of them; nobody is asked.

    The folder appears when it is complete.

    Args:
        folders: of the same configuration.
        out: is made.
        on_made: see `synthesize`.
        overrides: keys that differ from theirs, such as `dataset=other`.

    Returns:
        Its configuration, how many replies of each file were written, and what is still to be asked.

    Of shards that lack, the scenes are read when the folder is gone on with.

    Raises:
        ValueError: `out` is there, a folder is in use or of another configuration, `overrides` change what the shards were
            asked, a name of its entries is taken, or a line is broken.
    """
    folders, out = [Path(folder) for folder in folders], Path(out)
    old = _shared(common_config(SynthesisConfig, folders, _shared))
    common = read_folder(folders[0], overrides)
    new = _shared(common)
    if changed := [key for key in old if old[key] != new.get(key)]:
        raise UserError(f"{', '.join(changed)}: cannot differ from what the shards were made with. Leave it out.")

    config = common.model_copy(update={"output_dir": out, "shard": ""})
    export.new_entries(config.dataset_dir, _entries(config))
    with sigterm_interrupts(), new_folder(out) as partial:
        with ExitStack() as stack:
            for path in folders:
                stack.enter_context(lock(path, None, ".lock"))

            (partial / FILE).write_text(config.text(), encoding="utf-8")
            folder = stack.enter_context(Folder(config.model_copy(update={"output_dir": partial})))
            _join_scenes(folder, folders)
            counts = {name: _join_replies(folder, name, folders) for name in REPLIES}
            outcome = _go(folder, on_made, lambda *of: _asking(folder, *of))
            if lacks := lacking_shards(folders):
                folder.forget(SCENES)

    if not outcome.waits and not lacks:  # else all of them, merged into another folder, would find their names taken
        _write_entries(config)

    return config, counts, outcome


def lacking_shards(folders: Sequence[Path]) -> list[str]:
    """Return the shards, such as "2/8", that are in none of some folders of one synthesis.

    Raises:
        ValueError: one is no synthesis' folder.
    """
    there = {read_folder(folder).shard for folder in folders}
    counts = {int(shard.partition("/")[2]) for shard in there if shard}
    if "" in there or len(counts) != 1:
        return []

    (count,) = counts
    return [shard for index in range(count) if (shard := f"{index + 1}/{count}") not in there]


def _shared(config: SynthesisConfig) -> dict[str, Any]:
    """Return what all shards of a synthesis have in common."""
    values = config.model_dump(mode="json")
    keys = (*config.BLOCKS["scenes"], *config.BLOCKS["questions"], *config.BLOCKS["thoughts"])
    return config.shapes() | {key: values[key] for key in keys if key != "shard"}


def _join_scenes(folder: Folder, folders: Sequence[Path]) -> None:
    """Write the scenes of all folders in the order of their numbers, as if they had been read here."""

    def of(path: Path):
        return (of_row(Scene, row) for _, row in lines_of(path / f"{SCENES}.jsonl"))

    def rows(account: Account):
        last = None
        for scene in heapq.merge(*map(of, folders), key=lambda scene: scene.number):
            if scene != last:
                yield scene

            last = scene

    step = STEPS[0]
    if all((path / f"{SCENES}.jsonl").is_file() for path in folders):
        Made(step.name, step.inputs, step.settings, step.lead, lambda folder, account: rows(account)).make(folder)


def _join_replies(folder: Folder, name: str, folders: Sequence[Path]) -> int:
    store = folder.replies(name)
    for path in folders:
        if (file := path / f"{name}.jsonl").is_file():
            for _, row in lines_of(file):
                if row.get("key") not in store:
                    store.append(row)

    return store.count


def _go(folder: Folder, on_made: OnMade, asking: Callable[[Asked, str], RoleAsking]) -> Outcome:
    """Do stage after stage, up to the first whose replies are not all there."""
    outcome = Outcome()
    for step in STEPS:
        if isinstance(step, Made):
            if (account := step.make(folder)) is not None:
                on_made(step.name, account)

            continue

        for role in step.roles:
            one = asking(step, role)
            with folder.spending(step.name):
                one.ask()

            outcome.finished += one.finished
            outcome.gave_up += one.gave_up
            outcome.dropped += one.dropped
            outcome.left = one.total[1] - one.finished
            if one.stopped or one.gave_up:
                outcome.stopped, outcome.waits = one.stopped, step.name
                later = step.roles[step.roles.index(role) + 1 :]
                outcome.left += sum(asking(step, other).count()[1] for other in later)
                return outcome

    outcome.left = 0
    export.split_by_stage(folder.file(DPO))
    return outcome


def _write_entries(config: SynthesisConfig) -> None:
    """Put the files of rows into dataset_info.json, where they are not in it."""
    config.dataset_dir.mkdir(parents=True, exist_ok=True)
    entries = _entries(config)
    export.write_entries(config.dataset_dir, {name: entries[name] for name in entries_of(config)})


def entries_of(config: SynthesisConfig) -> list[str]:
    """Return the names of the entries of a synthesis that is done: those of files with rows."""
    return [name for name, (path, _) in _files(config).items() if path.is_file() and path.stat().st_size]


def _files(config: SynthesisConfig) -> dict[str, tuple[Path, str]]:
    """Return the files that training reads, and their kinds, by the names of their entries."""
    stages = ((f"{export.DPO}_stage{stage}", f"{DPO}_stage{stage}", export.DPO) for stage in export.STAGES)
    files = ((export.SFT, SFT, export.SFT), (export.DPO, DPO, export.DPO), (export.RL, PROMPTS, export.RL), *stages)
    return {f"{config.dataset}_{name}": (config.output_dir / f"{file}.jsonl", kind) for name, file, kind in files}


def _entries(config: SynthesisConfig) -> dict[str, dict[str, Any]]:
    return {name: export.entry_for(path, config.dataset_dir, kind) for name, (path, kind) in _files(config).items()}


def _asking(
    folder: Folder,
    step: Asked,
    role: str,
    on_event: Callable[[Event], None] | None = None,
    deadline: float = math.inf,
) -> RoleAsking:
    """Return what asks a role; without `on_event` it only counts."""
    config, store = folder.config, folder.replies(step.name)
    asks = functools.partial(step.asks, folder, role)
    return RoleAsking(role, config.role(role), store, asks, config.media_dir, on_event, deadline)
