"""What a synthesis will ask, before anybody is asked: the first prompt, and requests and tokens of each role. Calls nobody."""

import itertools
from collections import Counter
from collections.abc import Mapping

from virgo_factory.core.errors import UserError
from virgo_factory.report.table import Table
from virgo_factory.rollouts.estimate import CHARACTERS_A_TOKEN, short
from virgo_factory.synthesis.config import SynthesisConfig, read_folder
from virgo_factory.synthesis.questions.writing import writer_ask
from virgo_factory.synthesis.run import folder as files
from virgo_factory.synthesis.run.folder import card_of, is_behind
from virgo_factory.synthesis.run.launch import check_replies, replies_of
from virgo_factory.synthesis.scenes.read import read_scenes
from virgo_factory.synthesis.tell.status import not_asked
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
    first, scenes, left_out, example = None, 0, Counter[str](), dict[str, str]()
    are_here = not any(message.startswith(("scenes:", "media_dir:")) for message in problems)
    if are_here:
        found = (one for one in read_scenes(config.scenes, config.media_dir, config.max_objects, config.min_score))
        for one in itertools.takewhile(lambda _: config.max_scenes is None or scenes < config.max_scenes, found):
            scenes += isinstance(one, Scene)
            if isinstance(one, Dropped):
                left_out[one.reason] += 1
                example.setdefault(one.reason, one.detail or one.of)

            first = first or (one if isinstance(one, Scene) else None)

    if not are_here:
        scenes = config.max_scenes or UNKNOWN

    if config.shard:
        scenes = round(scenes / int(config.shard.partition("/")[2]))

    names = ", ".join(source.prefix for source in config.scenes)
    before = [
        f"Scenes: {scenes:,} of {names}" if are_here else f"No scene is on this machine. Of {scenes:,} it would be:"
    ]
    before += [f"  left out: {count:,} {reason}: {example[reason]}" for reason, count in left_out.most_common()]
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

    there = replies_of(config.output_dir)
    requests = _requests(config, scenes, {name: count for name, (count, _) in there.items()})
    rows, total, most = [], 0.0, 0.0
    for name in config.roles:
        role, (count, tokens) = config.role(name), there[name]
        length = tokens / count if count else min(TOKENS[name], role.max_tokens)
        written, highest = requests[name] * length, requests[name] * role.max_tokens
        total, most = total + written, most + highest
        asked = round(requests[name])
        told = (short(written), short(highest), "measured" if count else "guessed")
        rows.append((name, role.model_name_or_path, asked, max(asked - count, 0), *told))

    columns = ("", "model", "requests", "left", "tokens written", "at most", "length")
    table = Table("Roles", columns, rows, words=(1, 6))
    after = [
        f"All: about {sum(row[2] for row in rows):,} requests, {sum(row[3] for row in rows):,} of them left, {short(total)} "
        f"tokens written, at most {short(most)}. "
        f"{'Rates are those of this folder.' if card_of(config.output_dir, files.VALIDATED) else 'How much is kept is a guess until a folder has some: try max_scenes=20 first.'}"
    ]
    for key, value in (("max_rollouts", config.max_rollouts), ("max_tokens_total", config.max_tokens_total)):
        if value is not None and value < (total if "tokens" in key else sum(row[2] for row in rows)):
            after.append(f"{key}: {value:,} ends the run before.")

    if first:
        characters = len(writer_ask(first).text)
        after.append(f"The writer's first prompt has about {characters / CHARACTERS_A_TOKEN:,.0f} tokens.")

    if told := not_asked(config.output_dir):
        after.append(f"Asked again, beside these: {told}.")

    try:
        check_replies(config)
    except UserError as error:
        problems.append(str(error).removesuffix("."))

    return (
        before,
        table,
        after + [f"To be put right before the run: {problem}." for problem in dict.fromkeys(problems)],
    )


def _requests(config: SynthesisConfig, scenes: int, there: Mapping[str, int]) -> dict[str, float]:
    """Return how many requests each role gets: as many a scene as in the folder, for a role that was asked to its end there."""

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
    requests = {
        "writer": scenes * samples["writer"],
        "solver": asked * samples["solver"] + candidates * (1 + facts) * samples["solver"],
        "blind": asked * samples["blind"],
        "composer": composing * samples.get("composer", 0),
        "thinker": shorts,
        "reasoner": shorts * share(files.SHORT) * samples["reasoner"],
    }
    if before := card_of(config.output_dir, files.SCENES):
        old = read_folder(config.output_dir)
        for name in set(config.roles) & set(old.roles):
            if before["kept"] and not is_behind(config.output_dir, _ENDS[name]):
                requests[name] = there[name] * scenes / before["kept"] * samples[name] / old.role(name).samples

    return requests


_ENDS: Mapping[str, str] = {
    "writer": files.QUESTIONS,
    "solver": files.COMPOSED,
    "blind": files.VALIDATED,
    "composer": files.CANDIDATES,
    "thinker": files.SHORT,
    "reasoner": files.FILTERED,
}
"""Files that are made once all of a role is there."""
