"""Tests of virgo_factory/rollouts/run/progress.py: what a run shows, on a terminal and elsewhere, from the events that it tells."""

import io
import json
from dataclasses import asdict

import pytest
from rich.console import Console

from virgo_factory.distill.launch import distil
from virgo_factory.distill.tell.status import summarise
from virgo_factory.rollouts.run import progress as show
from virgo_factory.rollouts.run.progress import Live, Track
from virgo_factory.rollouts.run.run import Event


URL = "http://10.0.0.2:8000"


def judged(verdict, flying=64) -> Event:
    names = {"question": verdict.question, "model": verdict.model, "sample": verdict.sample}
    return Event("verdict", **names, verdict=asdict(verdict), flying=flying)


def tell(live: Live, folders, outcomes, question="tabmwp/1", tokens=100, response=None) -> None:
    rollouts, verdicts = folders.sampled(question, outcomes, tokens, response)
    for rollout in rollouts:
        live(Event("rollout", rollout=rollout, source="tabmwp", flying=64))

    for verdict in verdicts:
        live(judged(verdict))


def screen(folder, terminal=False, **keys) -> tuple[Live, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, highlight=False, color_system=None)
    return Live(console, folder, **{"servers": 1, "response_format": "four_markers"} | keys), out


OUTCOMES = ["correct", "correct", "wrong", "unverifiable", "truncated", "looping", "unjudged"]
COUNTED = "2 correct · 1 wrong · 1 unverifiable · 1 truncated · 1 looping · 1 being judged"


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_shown(terminal, folders, tmp_path):
    live, out = screen(tmp_path, terminal)
    with live:
        live(Event("start", model=folders.MODEL, total=100, done=10))
        tell(live, folders, OUTCOMES)

    shown = out.getvalue()
    assert "17 of 100" in shown and COUNTED in shown
    assert "300 tokens per accepted response" in shown, "six judged ones of 100 tokens, two of them accepted"
    assert "tokens/s" in shown and "left" not in shown, "too few have finished to tell"
    assert "retries" not in shown and "servers" not in shown
    assert ("\x1b[2K" in shown) == terminal


def test_each_pass_by_itself(folders, tmp_path):
    live, out = screen(tmp_path)
    with live:
        live(Event("start", model=folders.BASE, total=2))
        tell(live, folders, ["base:correct"])
        tell(live, folders, ["base:wrong"], "tabmwp/2")
        live(Event("start", model=folders.MODEL, total=5))
        tell(live, folders, ["wrong"] * 5)

        live(Event("start", model=folders.MODEL, total=1, message="asking variants/noise_10"))

    base, samples, asked, again = out.getvalue().splitlines()
    assert asked == "asking variants/noise_10" and again.startswith(f"{folders.MODEL}: 0 of 1 · 0 correct")
    assert base.startswith(f"{folders.BASE}: 2 of 2 · 1 correct · 1 wrong · 0 unverifiable")
    assert samples.startswith(f"{folders.MODEL}: 5 of 5 · 0 correct · 5 wrong · 0 unverifiable")
    assert "accepted" not in base + samples, "the base model's are not trained on"


def test_accepted_is_well_formed(folders, tmp_path):
    live, out = screen(tmp_path / "no such folder")  # a full disk does not stop the run
    with live:
        live(Event("start", model=folders.MODEL, total=5))
        tell(live, folders, ["correct"], tokens=900)
        tell(live, folders, ["correct"], "tabmwp/2", 100, response="It is \\boxed{12}.")

    assert "2 correct" in out.getvalue() and "1,000 tokens per accepted response" in out.getvalue()


def test_verdicts_on_rollouts_of_an_earlier_start(folders, tmp_path):
    """They are judged when a run goes on, but their tokens were not spent in it."""
    live, out = screen(tmp_path)
    _, (verdict,) = folders.sampled("tabmwp/1", ["correct"])
    with live:
        live(judged(verdict, flying=0))
        live(Event("start", model=folders.MODEL, total=5, done=1))
        live(judged(verdict, flying=0))

    assert "1 of 5 · in this start 0 correct" in out.getvalue() and "tokens" not in out.getvalue()


def test_what_happens_is_told(folders, tmp_path):
    live, out = screen(tmp_path, servers=2)
    with live:
        live(Event("start", model=folders.MODEL, total=5))
        live(Event("lost", url=URL, message="connection refused"))
        tell(live, folders, ["correct"])
        live._refresh(ended=True)
        live(Event("back", url=URL))
        for number in range(3):
            live(Event("retry", question="tabmwp/1", sample=0, url=URL, message=f"busy {number}"))

        live(Event("dropped", question="clevr/9", source="clevr", message="400: too long \x1b[31m"))
        live(Event("budget", message="max_hours: 2 h are used up"))

    lost, first, back, dropped, budget, last = out.getvalue().splitlines()
    assert lost == f"lost {URL} connection refused" and back == f"back: {URL}"
    assert "1 of 2 servers" in first and "2 of 2 servers" in last
    assert dropped == "cannot be asked: clevr/9 400: too long \\x1b[31m"
    assert budget == "max_hours: 2 h are used up"
    assert "3 retries" in last and "busy" not in out.getvalue()


def test_many_messages_of_a_kind_are_counted_only(folders, tmp_path):
    live, out = screen(tmp_path)
    with live:
        for number in range(1000):
            live(Event("gave_up", question=f"q/{number}", sample=0, url=URL, message=f"{URL}: timeout"))

        live(Event("budget", message="max_rollouts: 5 are there"))

    lines = out.getvalue().splitlines()
    assert len(lines) == show.MOST_MESSAGES + 2
    assert lines[0] == f"gave up, the next start asks again: q/0 {URL} timeout"
    assert "only counted" in lines[-2] and lines[-1].startswith("max_rollouts")


def test_speed_and_time_left():
    """100 tokens a second for 1,000 s, then 50: the last ten minutes count."""
    at = Track("m", total=1000, done=100, now=0.0)
    assert at.speed(5.0) == (0.0, 0.0) and at.seconds_left(5.0) is None
    for second in range(1, 1001):
        if second % 10 == 0:
            at.finish(1000, float(second))

    assert at.speed(1000.0) == pytest.approx((0.1, 100.0), rel=0.02)
    assert at.seconds_left(1000.0) == pytest.approx((1000 - 200) / 0.1, rel=0.02)
    for second in range(1001, 2001):
        if second % 20 == 0:
            at.finish(1000, float(second))

    assert at.speed(2000.0) == pytest.approx((0.05, 50.0), rel=0.02)
    assert at.speed(4000.0)[1] < 20.0, "a server that does not answer is seen"


def test_progress_file(folders, tmp_path):
    live, _ = screen(tmp_path, shard=(2, 8))
    with live:
        live(Event("start", model=folders.MODEL, total=5))
        tell(live, folders, ["correct"] * 5)
        live._refresh(ended=False)
        told = json.loads((tmp_path / "progress-2of8.json").read_text())
        assert told["running"] is True and (told["done"], told["total"]) == (5, 5)
        assert told["tokens_per_second"] > 0

    assert json.loads((tmp_path / "progress-2of8.json").read_text())["running"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["progress-2of8.json"]


@pytest.mark.slow
def test_a_line_now_and_then(folders, tmp_path, monkeypatch):
    """The thread prints by itself, also while no event comes."""
    monkeypatch.setattr(show, "LINE_SECONDS", 0)
    live, out = screen(tmp_path)
    with live:
        live(Event("start", model=folders.MODEL, total=5))
        live._stop.wait(1.3)

    assert 2 <= len(out.getvalue().splitlines()) <= 4


@pytest.mark.slow
def test_a_real_run_and_its_files_say_the_same(start_replay, sky_config, judge_at_hand):
    """Events of a run of both passes, through failures: what was shown is what status reads from the files."""
    server = start_replay(max_chars=4000, share_500=0.1, model=("replay", "base"))
    config = sky_config(6, urls=[server.url], base_urls=[server.url], base_model_name_or_path="base")
    live, out = screen(config.output_dir)
    with live:
        outcome = distil(config, on_event=live)

    found = summarise(config.output_dir)
    group = found.all
    base, samples = out.getvalue().splitlines()[-2:]
    total = 5 * (6 - group.base_solved)
    assert 0 < group.base_solved < 6 and outcome.finished == 6 + total
    assert base.startswith(f"base: 6 of 6 · {group.base_solved} correct")
    counted = " · ".join(f"{count} {name}" for name, count in group.outcomes.items())
    assert samples.startswith(f"replay: {total} of {total} · {counted} · ")
    assert f"{group.tokens_per_accepted:,.0f} tokens per accepted response" in samples and "retr" in samples
    assert (found.left, found.base_left, found.running) == (0, 0, ())
    assert found.tokens_per_second > 0 and found.seconds_left == 0
