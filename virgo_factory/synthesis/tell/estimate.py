"""What a synthesis will ask, before anybody is asked: the first prompt, and requests and tokens of each role. Calls nobody."""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from virgo_factory.report.table import Table
from virgo_factory.rollouts.estimate import CHARACTERS_A_TOKEN, short
from virgo_factory.rollouts.store.records import count_records
from virgo_factory.synthesis.config import SynthesisConfig
from virgo_factory.synthesis.questions.writing import writer_ask
from virgo_factory.synthesis.run import folder as files
from virgo_factory.synthesis.run.folder import card_of
from virgo_factory.synthesis.scenes.read import read_scenes
from virgo_factory.synthesis.words import Dropped, Scene


UNKNOWN = 1000
"""Scenes that are told of where none can be read."""

QUESTIONS_A_REPLY = 8.0
"""That a writer asks about one picture: so many are asked for."""

SHARES: Mapping[str, float] = {
    files.QUESTIONS: 0.8,
    files.VALIDATED: 0.6,
    files.CANDIDATES: 0.8,
    files.COMPOSED: 0.5,
    files.SHORT: 1.0,
}
"""Kept of what goes into a file. Guesses all: LGT's rates are not published; of LongPerceptualThoughts' short thoughts all parse."""

TOKENS = {"writer": 700, "solver": 150, "blind": 150, "composer": 300, "thinker": 120, "reasoner": 140}
"""That a role writes in a reply: guesses, but for LongPerceptualThoughts' expansions (99 words on average)."""


def estimate(config: SynthesisConfig) -> tuple[list[str], Table, list[str]]:
    """Return lines about the scenes and the first prompt, a table of the roles, and lines about what is to be put right.

    Rates and lengths are those of the folder where it is there, guesses elsewhere.

    Raises:
        ValueError: the files of the scenes are broken.
    """
    problems = [message for _, message in config.missing_files()]
    first, scenes, left_out = None, 0, Counter[str]()
    are_here = not any(message.startswith(("scenes:", "media_dir:")) for message in problems)
    if are_here:
        found = (one for one in read_scenes(config.scenes, config.media_dir, config.max_objects, config.min_score))
        for one in itertools.takewhile(lambda _: config.max_scenes is None or scenes < config.max_scenes, found):
            scenes += isinstance(one, Scene)
            left_out.update([one.reason] if isinstance(one, Dropped) else [])
            first = first or (one if isinstance(one, Scene) else None)

    if not are_here:
        scenes = config.max_scenes or UNKNOWN

    if config.shard:
        scenes = round(scenes / int(config.shard.partition("/")[2]))

    names = ", ".join(source.prefix for source in config.scenes)
    before = [
        f"Scenes: {scenes:,} of {names}" if are_here else f"No scene is on this machine. Of {scenes:,} it would be:"
    ]
    before += [f"  left out: {count:,} {reason}" for reason, count in left_out.most_common()]
    if first:
        ask = writer_ask(first)
        text = "\n\n".join(filter(None, (ask.system, ask.text)))
        before = [
            f"First prompt ({first.id}), to the writer:",
            "",
            *(f"  | {line}" for line in text.splitlines()),
            "",
            *before,
        ]

    requests = _requests(config, scenes)
    rows, total, most = [], 0.0, 0.0
    measured = _tokens(config.output_dir)
    for name in config.roles:
        role = config.role(name)
        tokens = measured.get(name, min(TOKENS[name], role.max_tokens))
        written, highest = requests[name] * tokens, requests[name] * role.max_tokens
        total, most = total + written, most + highest
        rows.append(
            (name, role.model_name_or_path, round(requests[name]), short(written), short(highest), name in measured)
        )

    shown = [(*row[:5], "measured" if row[5] else "guessed") for row in rows]
    table = Table("Roles", ("", "model", "requests", "tokens written", "at most", "length"), shown, words=(1, 5))
    after = [
        f"All: about {sum(row[2] for row in rows):,} requests, {short(total)} tokens written, at most {short(most)}. "
        f"{'Rates are those of this folder.' if card_of(config.output_dir, files.VALIDATED) else 'How much is kept is a guess until a folder has some: try max_scenes=20 first.'}"
    ]
    for key, value in (("max_rollouts", config.max_rollouts), ("max_tokens_total", config.max_tokens_total)):
        if value is not None and value < (total if "tokens" in key else sum(row[2] for row in rows)):
            after.append(f"{key}: {value:,} ends the run before.")

    if first:
        characters = len(writer_ask(first).text)
        after.append(f"The writer's first prompt has about {characters / CHARACTERS_A_TOKEN:,.0f} tokens.")

    return (
        before,
        table,
        after + [f"To be put right before the run: {problem}." for problem in dict.fromkeys(problems)],
    )


def _requests(config: SynthesisConfig, scenes: int) -> dict[str, float]:
    """Return how many requests each role gets."""

    def share(name: str) -> float:
        card = card_of(config.output_dir, name)
        return card["kept"] / card["in"] if card and card["in"] else SHARES[name]

    samples = {name: config.role(name).samples for name in config.roles}
    written = scenes * samples["writer"] * QUESTIONS_A_REPLY
    card = card_of(config.output_dir, files.QUESTIONS)
    if card and (before := card_of(config.output_dir, files.SCENES)):
        written = card["in"] * scenes / max(before["kept"], 1)

    asked = written * share(files.QUESTIONS)
    valid = asked * share(files.VALIDATED)
    composing = scenes * config.compositions if config.compositions else 0
    candidates = composing * samples.get("composer", 0) * share(files.CANDIDATES)
    facts = sum(config.composed_of) / len(config.composed_of)
    thought = valid + candidates * share(files.COMPOSED)
    shorts = thought * samples["thinker"]
    return {
        "writer": scenes * samples["writer"],
        "solver": asked * samples["solver"] + candidates * (1 + facts) * samples["solver"],
        "blind": asked * samples["blind"],
        "composer": composing * samples.get("composer", 0),
        "thinker": shorts,
        "reasoner": shorts * share(files.SHORT) * samples["reasoner"],
    }


def _tokens(folder: Path) -> dict[str, float]:
    """Return the mean tokens of the replies that are there, for roles that have a file of their own."""
    found = {}
    names = files.WRITTEN, files.COMPOSING, files.THINKING, files.EXPANDING, files.ABLATIONS
    for role, name in zip(("writer", "composer", "thinker", "reasoner", "solver"), names, strict=True):
        if (folder / f"{name}.jsonl").is_file():
            count, tokens = count_records(folder, name)
            if count:
                found[role] = tokens / count

    return found
