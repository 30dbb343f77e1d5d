"""Precision and recall of a synthesis' filters on questions whose faults are known.

PYTHONPATH=tools python benchmarks/synthesis.py [--scenes 2000] [--asked 300] [--right 0.9] [--guesses 0.25]

Writer, solvers and composer are those of tools/demo_scenes about scenes drawn by program, without the network between:
every fault is labelled where it is made. What it says is how well the rules find faults of these kinds in the words that this
writer has, and what they cost of honest questions; not how often a real writer makes them.
"""

import argparse
import base64
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from demo_scenes import thinker, writer
from demo_scenes.scenes import HEIGHT, WIDTH, drawn_scene
from demo_scenes.server import Options, Player
from virgo_factory.core.example import IMAGE
from virgo_factory.synthesis.questions import validity, votes, writing
from virgo_factory.synthesis.questions.composition import (
    ablation_asks,
    candidates_of,
    composer_asks,
    judge_ablation,
)
from virgo_factory.synthesis.thoughts import expanding, reading, short
from virgo_factory.synthesis.words import Ask, Dropped, Question, Reply, Scene, Thought


EXPECTED = {
    "near-duplicate options": validity.NOT_DISTINCT,
    "near-duplicate question": validity.NEAR_DUPLICATE,
    "unknown tag": validity.UNKNOWN_TAG,
    "box numbers": validity.BOX_NUMBERS,
    "forbidden word": validity.FORBIDDEN_WORD,
    "no such option": validity.NO_OPTION,
    "letter against text": validity.TWO_OPTIONS,
    "three options": validity.NOT_FOUR,
    "prose": writing.NO_QUESTION,
    **dict.fromkeys(writer.CLAIMS, validity.CONTRADICTED),
    "unclosed thought": reading.UNCLOSED,
    "no answer": reading.NO_ANSWER,
    thinker.LEAKS: expanding.WORD,
    thinker.REPEATS: reading.LOOP,
    thinker.CUT: reading.CUT,
    thinker.CONTRADICTS: expanding.CONTRADICTS,
}
"""Fault -> reason by which it is to be dropped."""

KEPT = "kept"
SIGHTED, BLIND, ABLATION, THOUGHTS = 3, 4, 3, 3
"""Samples of each solver, of thinker and reasoner."""
THOUGHT_ABOUT = 2
"""Questions of each scene that are thought about."""


def scene_of(number: int) -> Scene:
    """Return a drawn scene as a synthesis reads it."""
    drawn = drawn_scene(number)
    return Scene(drawn.id, number, drawn.image, "", WIDTH, HEIGHT, drawn.captions, drawn.objects)


def replies(player: Player, ask: Ask, samples: int) -> list[Reply]:
    """Return what a role replies."""
    pictures = [_picture(ask.image)] if ask.image else []
    text = ask.text.removeprefix(IMAGE)
    said = [player.say(text, pictures, ask.prefill, sample) for sample in range(samples)]
    ends = ["length" if one.is_cut else "stop" for one in said]
    return [
        Reply("", ask.of, ask.mode, sample, "m", one.text, end, 0, 0, 0.0, sample, "", dict(ask.about))
        for sample, (one, end) in enumerate(zip(said, ends, strict=True))
    ]


def _picture(image: str) -> str:
    png = drawn_scene(int(image.rpartition("/")[2].removesuffix(".png"))).png()
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def outcome(one: Question | Thought | Dropped) -> str:
    """Return the reason why something is dropped, or KEPT."""
    return one.reason if isinstance(one, Dropped) else KEPT


def labelled(
    player: Player, before: int, made: Iterator[Question | Dropped]
) -> Iterator[tuple[str, Question | Dropped]]:
    """Yield each thing that was made with the fault of what it was made of, in the order in which both were written."""
    yield from zip((label["fault"] for label in player.labels[before:]), made, strict=True)


def measure(scenes: int, asked: int, player: Player) -> dict[str, dict[str, Counter]]:
    """Return, for each stage, what became of the things of each fault; and the letters of the questions that are valid.

    Args:
        scenes: that are written about.
        asked: of these, whose questions are voted on, composed and thought about.
        player: of all roles.
    """
    found: dict[str, dict[str, Counter]] = {
        name: defaultdict(Counter)
        for name in ("validity", "votes", "strict votes", "candidates", "ablation", "short", "expansions", "letters")
    }
    for number in range(scenes):
        scene = scene_of(number)
        before, said = len(player.labels), replies(player, writing.writer_ask(scene), 1)
        fault_of, validated = {}, []
        for fault, one in labelled(player, before, writing.questions_of(scene, said)):
            found["validity"][fault][outcome(one)] += 1
            if isinstance(one, Question):
                found["letters"][""][one.answer] += 1
                if number >= asked:
                    continue

                fault_of[one.id] = fault
                sighted, blind = votes.vote_asks(scene, one)
                cast = replies(player, sighted, SIGHTED), replies(player, blind, BLIND)
                judged = votes.judge_votes(one, *cast)
                found["votes"][fault][outcome(judged)] += 1
                found["strict votes"][fault][outcome(votes.judge_votes(one, *cast, confirmed=2))] += 1
                validated += [judged] if isinstance(judged, Question) else []

        honest = [one for one in validated if not fault_of[one.id]]
        _compose(scene, honest, player, found)
        for question in honest[:THOUGHT_ABOUT]:
            _think(scene, question, player, found)

    return found


def _compose(scene: Scene, questions: Sequence[Question], player: Player, found: dict) -> None:
    before = len(player.labels)
    said = [reply for ask in composer_asks(scene, questions) for reply in replies(player, ask, 1)]
    known = {question.id: question for question in questions}
    for fault, one in labelled(player, before, candidates_of(scene, questions, said)):
        found["candidates"][fault][outcome(one)] += 1
        if isinstance(one, Question):
            asks = ablation_asks(one, [known[id] for id in one.inputs])
            judged = judge_ablation(one, {ask.mode: replies(player, ask, ABLATION) for ask in asks})
            found["ablation"][fault][outcome(judged)] += 1


def _think(scene: Scene, question: Question, player: Player, found: dict) -> None:
    before, said = len(player.labels), replies(player, short.thinker_ask(scene, question), THOUGHTS)
    for fault, one in labelled(player, before, short.shorts_of(question, said)):
        found["short"][fault][outcome(one)] += 1
        if isinstance(one, Thought):
            (ask,) = expanding.expansion_asks(scene, question, one)
            began, gone_on = len(player.labels), replies(player, ask, THOUGHTS)
            for label, long in labelled(player, began, expanding.expansions_of(question, one, ask, gone_on)):
                found["expansions"][label][outcome(long)] += 1


def _row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def _table(title: str, counts: dict[str, Counter], faults: Sequence[str]) -> None:
    print(f"\n{title}\n")
    _row("written", "n", "dropped", "by the reason that is meant", "other reasons")
    _row(*["---"] * 5)
    for fault in ("", *faults):
        if not (counted := counts[fault]):
            continue

        total, kept = counted.total(), counted[KEPT]
        meant = EXPECTED.get(fault)
        share = f"{counted[meant] / total:.1%}" if meant else ""
        others = ", ".join(
            f"{reason} {count}" for reason, count in counted.most_common() if reason not in (KEPT, meant)
        )
        _row(fault or "honest", total, f"{(total - kept) / total:.2%}", share, others)


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument(
        "--asked", type=int, default=300, help="of these, whose questions are voted on and thought about"
    )
    parser.add_argument("--right", type=float, default=0.9, help="share of right votes of a solver that can know")
    parser.add_argument("--guesses", type=float, default=0.25, help="share of guesses of one that cannot")
    arguments = parser.parse_args()
    player = Player(Options(right=arguments.right, guesses=arguments.guesses))
    started = time.process_time()
    found = measure(arguments.scenes, arguments.asked, player)
    took = time.process_time() - started
    print(f"{arguments.scenes} scenes, {len(player.labels):,} things written, {took:.0f} processor seconds")
    _table("Validity and claims", found["validity"], [*EXPECTED, *writer.VOTED])
    _table(f"Votes of {SIGHTED} sighted and {BLIND} blind samples", found["votes"], [*writer.VOTED, *writer.CLAIMS])
    _table("The same where two must confirm", found["strict votes"], [*writer.VOTED, *writer.CLAIMS])
    print(
        f"\nBy chance {votes.chance_of_blind(BLIND):.1%} of honest questions are answered by a solver that always guesses."
    )
    composed = [*writer.COMPOSED_STRUCTURAL, *writer.COMPOSED]
    _table("Composed, before the ablation", found["candidates"], composed)
    _table(f"Ablation with {ABLATION} samples of each mode", found["ablation"], writer.COMPOSED)
    _table("Short thoughts", found["short"], [thinker.WRONG_THOUGHT, *thinker.THOUGHT_FAULTS])
    kinds = [thinker.FLIPS, thinker.KEEPS, *thinker.EXPANSION_FAULTS]
    _table("Expansions", found["expansions"], kinds)
    letters = found["letters"][""]
    told = ", ".join(f"{letter} {letters[letter] / letters.total():.1%}" for letter in "ABCD")
    print(f"\nLetters of {letters.total():,} right options: {told}")


if __name__ == "__main__":
    main()
