"""The server that plays every role: what it says is true where no fault is labelled, and every label is of something it said."""

import asyncio
import base64
from collections import Counter
from random import Random

import pytest

from demo_scenes import solver, thinker, truth, writer
from demo_scenes.scenes import HEIGHT, WIDTH, drawn_scene
from demo_scenes.server import RATES, Options, Player, events, rendered, serving
from virgo_factory.rollouts.prompt import compose
from virgo_factory.rollouts.servers.client import Endpoint, Refused, Sampling, WrongServer, look_at
from virgo_factory.synthesis.questions import composition, votes, writing
from virgo_factory.synthesis.questions.grammar import items_of
from virgo_factory.synthesis.thoughts import expanding, short
from virgo_factory.synthesis.words import Question, Reply, Scene, Thought


NO_FAULTS = dict.fromkeys(RATES, 0.0)


def scene_of(number: int) -> Scene:
    drawn = drawn_scene(number)
    return Scene(drawn.id, number, drawn.image, "", WIDTH, HEIGHT, drawn.captions, drawn.objects)


def reply(text: str, sample: int = 0, mode: str = "", **about) -> Reply:
    return Reply("", "", mode, sample, "m", text, "stop", 0, 0, 0.0, sample, "", about)


def written(player: Player, scene: Scene) -> list[Question]:
    said = player.say(writing.writer_ask(scene).text)
    return [one for one in writing.questions_of(scene, [reply(said.text)]) if isinstance(one, Question)]


@pytest.mark.slow
def test_without_faults_every_question_is_kept_and_has_one_true_option():
    player, kinds = Player(Options(rates=NO_FAULTS)), Counter()
    for number in range(30):
        scene = scene_of(number)
        questions = written(player, scene)
        assert len(questions) == 8
        for question in questions:
            right = truth.right_options(drawn_scene(number), question.question, question.options)
            assert right == ["ABCD".index(question.answer)], question
            kinds[question.kind] += 1

    assert {label["fault"] for label in player.labels} == {""} and min(kinds.values()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*writer.STRUCTURAL, *writer.CLAIMS, *writer.VOTED])
def test_a_fault_that_is_labelled_is_there(fault):
    player = Player(Options(rates={**NO_FAULTS, fault: 0.5}))
    for number in range(8):
        player.say(writing.writer_ask(scene_of(number)).text)

    labels = [label for label in player.labels if label["fault"]]
    assert {label["fault"] for label in labels} == {fault}
    for label in labels:
        true = truth.right_options(truth.drawn_scene(int(label["about"][-6:])), label["question"], label["options"])
        if fault in ("wrong count", "wrong relation", "wrong gold"):
            assert label["answer"] not in [label["options"][place] for place in true] and true
        elif fault == "two right options":
            assert len(true) == 2


@pytest.mark.slow
def test_solvers_know_what_they_may_know():
    player = Player(Options(rates=NO_FAULTS, right=1.0))
    for number in range(6):
        scene = scene_of(number)
        questions = written(player, scene)
        for question in questions:
            sighted, blind = votes.vote_asks(scene, question)
            assert votes.vote_of(player.say(sighted.text).text, question) == question.answer
            said = [votes.vote_of(player.say(blind.text, seed=seed).text, question) for seed in range(8)]
            assert said.count(votes.UNKNOWN) > 2

        asks = composition.composer_asks(scene, questions, most=4)
        replies = [reply(player.say(ask.text).text, mode=ask.mode, **ask.about) for ask in asks]
        known = {question.id: question for question in questions}
        for one in composition.candidates_of(scene, questions, replies):
            assert isinstance(one, Question), one
            assert truth.right_options(drawn_scene(number), one.question, one.options) == ["ABCD".index(one.answer)]
            for ask in composition.ablation_asks(one, [known[id] for id in one.inputs]):
                vote = votes.vote_of(player.say(ask.text).text, one)
                assert vote == (one.answer if ask.mode == composition.ALL else votes.UNKNOWN), (ask.text, vote)


def test_a_thought_ends_with_the_option_that_it_names():
    scene, rng = drawn_scene(3), Random(1)
    fact = next(fact for fact in scene.facts() if fact.kind == "colour")
    options = [*fact.wrong, fact.answer]
    asked = "\n".join(
        [fact.question, *(f"({letter}) {option}" for letter, option in zip("ABCD", options, strict=True))]
    )
    response, fault = thinker.think(scene, asked, NO_FAULTS, rng)
    assert fault == "" and "So it is (D)" in response and "</think> <answer>" in response
    wrong, fault = thinker.think(scene, asked, {**NO_FAULTS, thinker.WRONG_THOUGHT: 1.0}, rng)
    assert fault == thinker.WRONG_THOUGHT and "So it is (D)" not in wrong

    right, fault, is_cut = thinker.go_on(
        scene, asked, f"<think>{wrong.partition('</think>')[0]} Wait,", NO_FAULTS, rng
    )
    assert (fault, is_cut) == ("", False) and "does not fit what I thought" in right and "So it is (D)" in right
    for name in (thinker.FLIPS, *thinker.EXPANSION_FAULTS):
        text, fault, is_cut = thinker.go_on(scene, asked, "<think>So it is (D). Wait,", {**NO_FAULTS, name: 1.0}, rng)
        assert fault == name and is_cut == (name == thinker.CUT) and ("</think>" in text) == (not is_cut)


def test_scenes_are_found_by_what_is_said_of_them_and_by_their_picture():
    scenes = truth.Scenes(most=40)
    for number in (33, 2):
        drawn = drawn_scene(number)
        assert scenes.told("You see:\n- " + "\n- ".join(drawn.captions)) == drawn
        assert scenes.seen(f"data:image/png;base64,{base64.b64encode(drawn.png()).decode()}") == drawn

    other = drawn_scene(41)
    assert scenes.told("\n".join(other.captions)) is None
    assert solver.sighted(None, "Which?\n(A) x\n(B) y\n(C) z\n(D) w", 1.0, Random(0)).count("unknown") == 1


def test_a_response_is_cut_off_where_no_more_may_be_written():
    said = Player(Options()).say(writing.writer_ask(scene_of(1)).text)
    whole, cut = events(said, 10, 10_000, True), events(said, 10, 20, True)
    assert b'"finish_reason": "stop"' in whole and b'"finish_reason": "length"' in cut
    assert b'"completion_tokens": 20,' in cut and len(cut) < len(whole)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>"}]
    assert rendered(turns, True).endswith("assistant\n<think>") and not rendered(turns, True, True).endswith("<think>")


@pytest.mark.slow
def test_over_http():
    async def go(url: str) -> list[str]:
        facts = await look_at(url)
        assert facts.version and set(facts.models) == {"writer", "solver", "blind", "composer", "thinker", "reasoner"}
        prompt, sampling = compose("x", writing.writer_ask(scene_of(5)).text), Sampling()
        async with Endpoint(url, "writer") as asked, Endpoint(url, "nobody") as nobody:
            with pytest.raises((Refused, WrongServer)):
                await nobody.ask(prompt, sampling, 1)

            texts = [(await asked.ask(prompt, sampling, seed)).response for seed in (1, 1, 2)]

        question = Question("q", "demo/000005", "How many shapes?", ("1", "2", "3", "4"), "A")
        text = expanding.expansion_asks(scene_of(5), question, Thought("q/s0", "q", "I see none.", "", False))[0].text
        async with Endpoint(url, "reasoner") as reasoner:
            begun = compose("x", text, prefill="<think>I see nothing.\nWait,")
            texts.append((await reasoner.ask(begun, sampling, 1)).response)

        fact = next(fact for fact in drawn_scene(5).facts() if fact.kind == "colour")
        question = Question("q", "demo/000005", fact.question, (fact.answer, *fact.wrong), "A")
        ask, png = short.thinker_ask(scene_of(5), question), drawn_scene(5).png()
        async with Endpoint(url, "thinker") as thinks:
            looked = compose("x", ask.text, [((WIDTH, HEIGHT), png)], ask.system, ask.prefill)
            texts.append((await thinks.ask(looked, sampling, 1)).response)

        return texts

    with serving(NO_FAULTS) as server:
        first, again, other, expanded, thought = asyncio.run(go(server.url))
        assert first == again != other and "</think>" in expanded and "So it is (A)" in thought
        labels = server.labels()
        assert Counter(label["role"] for label in labels) == {"writer": 24, "reasoner": 1, "thinker": 1}
        assert labels[-2]["about"].startswith("How many shapes?")
        assert [label["question"] for label in labels[:8]] == [one.question for one in items_of(first)]
        server.control(rewrites=True)
        picture = [((WIDTH, HEIGHT), drawn_scene(5).png())]

        async def think() -> None:
            async with Endpoint(server.url, "thinker") as asked:
                await asked.ask(compose("x", "<image>Which?", picture, prefill="<think>"), Sampling(), 1)

        with pytest.raises(WrongServer, match="does not leave the beginning of a response"):
            asyncio.run(think())
