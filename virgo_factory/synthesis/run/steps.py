"""The stages of a synthesis in their order: what each role is asked, and what each file is made of."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from virgo_factory.report.text import amount
from virgo_factory.rollouts.store.jsonl import is_in_shard
from virgo_factory.synthesis.config import ROLES, SynthesisConfig
from virgo_factory.synthesis.questions import composition, votes, writing
from virgo_factory.synthesis.run import folder as files
from virgo_factory.synthesis.run.folder import Account, Folder
from virgo_factory.synthesis.scenes.claims import is_claim_read
from virgo_factory.synthesis.scenes.read import is_of_object, read_scenes
from virgo_factory.synthesis.thoughts import expanding, export, pairs, sets, short
from virgo_factory.synthesis.thoughts.rows import Group
from virgo_factory.synthesis.thoughts.steps import Steps
from virgo_factory.synthesis.words import LETTERS, Ask, Dropped, Question, Reply, Scene, Thought


NO_REPLY = "never answered"
"""A server refused it, or could not be had; the next start asks again."""
VOTES_LACK = "not all votes were had"
"""Likewise; it is judged by all of them or not at all."""


@dataclass(frozen=True)
class Asked:
    """A file of replies.

    Attributes:
        name: of the file.
        roles: that are asked, one after another.
        asks: yields what a role is asked.
    """

    name: str
    roles: tuple[str, ...]
    asks: Callable[[Folder, str], Iterator[Ask]]


@dataclass(frozen=True)
class Made:
    """A file made of others.

    Attributes:
        name: of the file.
        inputs: names of what it is made of.
        settings: keys of the configuration that shape it, and roles whose samples it is made of.
        lead: what it holds, for its card.
        rows: yields what is kept, and Dropped.
    """

    name: str
    inputs: tuple[str, ...]
    settings: tuple[str, ...]
    lead: str
    rows: Callable[[Folder, Account], Iterator[Any]]

    def make(self, folder: Folder) -> Account | None:
        """Make it where that is to be done, see Folder.make."""
        inputs = self.inputs or [str(path) for source in folder.config.scenes for _, path in source.paths()]
        rows = functools.partial(self.rows, folder)
        return folder.make(self.name, inputs, self._values(folder.config), self.lead, rows, is_of_object)

    def check(self, folder: Folder) -> None:
        """Raise ValueError where it was edited, and other settings would make it again: before anybody is asked for it."""
        folder.check_edits(self.name, self._values(folder.config))

    def _values(self, config: SynthesisConfig) -> dict[str, Any]:
        values = config.model_dump(mode="json")
        for name in ROLES.keys() & {*self.settings}:
            values[name] = {key: getattr(config.role(name), key) for key in ("model_name_or_path", "samples")}

        return {key: values[key] for key in self.settings}


def _scenes(folder: Folder, account: Account) -> Iterator[Scene | Dropped]:
    config = folder.config
    index, _, count = config.shard.partition("/")
    shard = (int(index), int(count)) if config.shard else None
    kept = 0
    for scene in read_scenes(config.scenes, config.media_dir, config.max_objects, config.min_score):
        if isinstance(scene, Scene):
            if config.max_scenes is not None and kept == config.max_scenes:
                return

            kept += 1
            if not is_in_shard(scene.id, shard):
                continue

        yield scene


def scenes(folder: Folder) -> Iterator[Scene]:
    """Yield the scenes of a folder."""
    return folder.rows(files.SCENES, Scene)


def _with_questions(folder: Folder, *names: str) -> Iterator[tuple[Scene, list[Question]]]:
    """Yield each scene with its questions of some files, in this order."""
    found: Iterator[tuple[Scene, list[Question]]] = ((scene, []) for scene in scenes(folder))
    for name in names:
        beside = folder.beside(found, name, Question, lambda question: question.scene, lambda unit: unit[0].id)
        found = ((scene, [*before, *more]) for (scene, before), more in beside)

    return found


def _one_by_one(folder: Folder, *names: str) -> Iterator[tuple[Scene, Question]]:
    return ((scene, one) for scene, questions in _with_questions(folder, *names) for one in questions)


def _questions(folder: Folder, account: Account) -> Iterator[Question | Dropped]:
    letters, claims = dict.fromkeys(LETTERS, 0), Counter()
    for scene in scenes(folder):
        replies = folder.answered(files.WRITTEN, writing.writer_ask(scene), "writer")
        if not replies:
            yield Dropped(scene.id, NO_REPLY)

        for found in writing.questions_of(scene, replies):
            if isinstance(found, Question):
                letters[found.answer] += 1
                if found.kind in ("place", "number"):
                    claims["none" if not found.claim else "read" if is_claim_read(found, scene) else "unread"] += 1

            yield found

    _tell_letters(account, letters)
    account.content |= {"without_claim": claims["none"], "claim_unread": claims["unread"]}
    account.notes.append(
        f"Of {claims.total():,} questions of place or number {claims['none']:,} state no claim and {claims['unread']:,} one that cannot"
        " be read; these are judged by their words alone."
    )


def _tell_letters(account: Account, letters: Mapping[str, int]) -> None:
    total = sum(letters.values())
    account.content["letters"] = dict(letters)
    if total:
        shares = ", ".join(f"{letter} {count / total:.1%}" for letter, count in letters.items())
        account.notes.append(f"Letters of the right options: {shares}.")


def _votes(folder: Folder, role: str) -> Iterator[Ask]:
    for scene, question in _one_by_one(folder, files.QUESTIONS):
        yield votes.vote_asks(scene, question)[role == "blind"]


def _validated(folder: Folder, account: Account) -> Iterator[Question | Dropped]:
    config = folder.config
    for scene, question in _one_by_one(folder, files.QUESTIONS):
        sighted, blind = votes.vote_asks(scene, question)
        seen, unseen = folder.answered(files.VOTES, sighted, "solver"), folder.answered(files.VOTES, blind, "blind")
        if lack := _lack(config, solver=seen, blind=unseen):
            yield Dropped(question.id, VOTES_LACK, lack)
        else:
            yield votes.judge_votes(question, seen, unseen, config.blind_right, config.confirmed)

    samples = config.role("blind").samples
    chance = votes.chance_of_blind(samples, config.blind_right)
    account.content["dropped_by_chance"] = chance
    account.notes.append(
        f"A question that nobody can answer without the picture is dropped by chance in {chance:.1%} of the cases: "
        f"{config.blind_right} of {samples} guesses among four options are right."
    )


def _lack(config: SynthesisConfig, **replies: Sequence[Reply]) -> str:
    """Return how many replies of how many roles gave, where one of them lacks some; "" where all are there."""
    wanted = {role: config.role(role).samples for role in replies}
    told = (f"{len(replies[role])} of {samples} of {role}" for role, samples in wanted.items())
    return ", ".join(told) if any(len(replies[role]) < wanted[role] for role in replies) else ""


def _composing_asks(folder: Folder, scene: Scene, questions: Sequence[Question]) -> list[Ask]:
    config = folder.config
    return composition.composer_asks(scene, questions, most=config.compositions, of=config.composed_of)


def _composing(folder: Folder, role: str) -> Iterator[Ask]:
    for scene, questions in _with_questions(folder, files.VALIDATED):
        yield from _composing_asks(folder, scene, questions)


def _candidates(folder: Folder, account: Account) -> Iterator[Question | Dropped]:
    for scene, questions in _with_questions(folder, files.VALIDATED):
        replies = []
        for ask in _composing_asks(folder, scene, questions):
            found = folder.answered(files.COMPOSING, ask, "composer")
            replies += found
            if not found:
                yield Dropped(ask.of, NO_REPLY)

        yield from composition.candidates_of(scene, questions, replies)


def _ablated(folder: Folder) -> Iterator[tuple[Question, list[Ask]]]:
    """Yield each candidate with what a solver is asked about it."""
    both = _with_questions(folder, files.VALIDATED)
    for (_, inputs), candidates in folder.beside(
        both, files.CANDIDATES, Question, lambda question: question.scene, lambda unit: unit[0].id
    ):
        known = {one.id: one for one in inputs}
        for candidate in candidates:
            if all(name in known for name in candidate.inputs):  # else a file was edited
                yield candidate, composition.ablation_asks(candidate, [known[name] for name in candidate.inputs])
            else:
                yield candidate, []


def _composed(folder: Folder, account: Account) -> Iterator[Question | Dropped]:
    for candidate, asks in _ablated(folder):
        replies = {ask.mode: folder.answered(files.ABLATIONS, ask, "solver") for ask in asks}
        lacks = (f"{mode}: {told}" for mode, some in replies.items() if (told := _lack(folder.config, solver=some)))
        if not asks:
            yield Dropped(candidate.id, "its inputs are gone")
        elif lack := next(lacks, ""):
            yield Dropped(candidate.id, VOTES_LACK, lack)
        else:
            yield composition.judge_ablation(candidate, replies)


def _short(folder: Folder, account: Account) -> Iterator[Thought | Dropped]:
    for scene, question in _one_by_one(folder, files.VALIDATED, files.COMPOSED):
        replies = folder.answered(files.THINKING, short.thinker_ask(scene, question), "thinker")
        if not replies:
            yield Dropped(question.id, NO_REPLY)

        yield from short.shorts_of(question, replies)


def _with_thoughts(folder: Folder) -> Iterator[tuple[Scene, Question, list[Thought]]]:
    beside = folder.beside(
        _one_by_one(folder, files.VALIDATED, files.COMPOSED),
        files.SHORT,
        Thought,
        lambda one: one.question,
        lambda unit: unit[1].id,
    )
    return ((scene, question, thoughts) for (scene, question), thoughts in beside)


def _expansions(folder: Folder) -> Iterator[tuple[Question, Thought, list[Ask]]]:
    cues = folder.config.cues
    for scene, question, thoughts in _with_thoughts(folder):
        for one in thoughts:
            yield question, one, expanding.expansion_asks(scene, question, one, cues)


def _filtered(folder: Folder, account: Account) -> Iterator[Thought | Dropped]:
    steps = Steps(expanding.FORBIDDEN)
    for question, one, asks in _expansions(folder):
        for ask in asks:
            replies = folder.answered(files.EXPANDING, ask, "reasoner")
            if not replies:
                yield Dropped(one.id, NO_REPLY)

            for reply, found in zip(replies, expanding.expansions_of(question, one, ask, replies), strict=True):
                steps.add(reply.response, found)
                yield found

    account.content["steps"] = dict(steps.counts)
    account.notes.append(f"As LongPerceptualThoughts filters, each counted by itself: {steps.told()}.")


def _groups(folder: Folder) -> Iterator[Group]:
    """Yield each question with its scene, its short thoughts and what became of them."""
    beside = folder.beside(
        _with_thoughts(folder), files.FILTERED, Thought, lambda one: one.question, lambda unit: unit[1].id
    )
    return ((question, scene, shorts, longs) for (scene, question, shorts), longs in beside)


def _sft(folder: Folder, account: Account) -> Iterator[dict[str, Any] | Dropped]:
    config = folder.config
    groups = functools.partial(_groups, folder)
    return _counted(sets.sft_rows(groups, config.sft_share, config.x_to_o, config.seed), account)


def _dpo(folder: Folder, account: Account) -> Iterator[dict[str, Any] | Dropped]:
    config = folder.config
    groups = functools.partial(_groups, folder)
    return _counted(pairs.pair_rows(groups, config.pairs_per_question, config.compact_pairs, config.seed), account)


def _counted(rows: Iterator[dict[str, Any] | Dropped], account: Account) -> Iterator[dict[str, Any] | Dropped]:
    """Yield rows, and tell how many there are of each set."""
    counts: Counter[str] = Counter()
    for row in rows:
        if isinstance(row, dict):
            counts[f"stage {row['stage']}, {row['set']}"] += 1

        yield row

    account.content["sets"] = dict(counts)
    account.notes += [f"{name}: {amount(count, 'row')}." for name, count in sorted(counts.items())]


def _prompts(folder: Folder, account: Account) -> Iterator[str | Dropped]:
    pairs_of = ((question, scene) for scene, question in _one_by_one(folder, files.VALIDATED, files.COMPOSED))
    return export.rl_questions(pairs_of, folder.config.dataset)


STEPS: tuple[Asked | Made, ...] = (
    Made(
        files.SCENES,
        (),
        ("scenes", "media_dir", "shard", "max_scenes", "max_objects", "min_score"),
        "Pictures with captions and boxes, in pixels of the picture as it is seen.",
        _scenes,
    ),
    Asked(files.WRITTEN, ("writer",), lambda folder, role: map(writing.writer_ask, scenes(folder))),
    Made(
        files.QUESTIONS,
        (files.SCENES, files.WRITTEN),
        ("writer",),
        "Questions with four options, as written.",
        _questions,
    ),
    Asked(files.VOTES, ("solver", "blind"), _votes),
    Made(
        files.VALIDATED,
        (files.SCENES, files.QUESTIONS, files.VOTES),
        ("solver", "blind", "blind_right", "confirmed"),
        "Questions whose answer solvers confirm, and that nobody answers without the picture.",
        _validated,
    ),
    Asked(files.COMPOSING, ("composer",), _composing),
    Made(
        files.CANDIDATES,
        (files.SCENES, files.VALIDATED, files.COMPOSING),
        ("composer", "compositions", "composed_of"),
        "Questions composed of two or three of one picture, before their ablation.",
        _candidates,
    ),
    Asked(files.ABLATIONS, ("solver",), lambda folder, role: (ask for _, asks in _ablated(folder) for ask in asks)),
    Made(
        files.COMPOSED,
        (files.SCENES, files.VALIDATED, files.CANDIDATES, files.ABLATIONS),
        ("solver",),
        "Composed questions that are answered with all their inputs, and with none left out.",
        _composed,
    ),
    Asked(
        files.THINKING,
        ("thinker",),
        lambda folder, role: (
            short.thinker_ask(scene, question)
            for scene, question in _one_by_one(folder, files.VALIDATED, files.COMPOSED)
        ),
    ),
    Made(
        files.SHORT,
        (files.SCENES, files.VALIDATED, files.COMPOSED, files.THINKING),
        ("thinker",),
        "Short thoughts of a model that sees the picture, right ones and wrong ones.",
        _short,
    ),
    Asked(
        files.EXPANDING,
        ("reasoner",),
        lambda folder, role: (ask for _, _, asks in _expansions(folder) for ask in asks),
    ),
    Made(
        files.FILTERED,
        (files.SCENES, files.VALIDATED, files.COMPOSED, files.SHORT, files.EXPANDING),
        ("reasoner", "cues"),
        "Short thoughts that a reasoning model went on with, right ones and wrong ones.",
        _filtered,
    ),
    Made(
        files.SFT,
        (files.SCENES, files.VALIDATED, files.COMPOSED, files.SHORT, files.FILTERED),
        ("sft_share", "x_to_o", "seed"),
        "Rows for SFT: right short thoughts, right ones gone on with, wrong ones corrected.",
        _sft,
    ),
    Made(
        files.DPO,
        (files.SCENES, files.VALIDATED, files.COMPOSED, files.SHORT, files.FILTERED),
        ("pairs_per_question", "compact_pairs", "seed"),
        "Pairs for DPO: corrections against what does not correct, right short thoughts against what goes wrong.",
        _dpo,
    ),
    Made(
        files.PROMPTS,
        (files.SCENES, files.VALIDATED, files.COMPOSED),
        ("dataset",),
        "Questions with gold answers for stage: grpo.",
        _prompts,
    ),
)
"""All stages, in their order."""
