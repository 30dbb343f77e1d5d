"""What a run shows while it goes on: a live view on a terminal, a line now and then elsewhere, and progress.json.

`status` in another window takes the speed from progress.json: rollouts.jsonl does not say when a row was written.
"""

import contextlib
import json
import os
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virgo_factory.io.atomic import replace_file
from virgo_factory.report.text import visible
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.store.index import OUTCOMES
from virgo_factory.rollouts.store.rollout import GREEDY


if TYPE_CHECKING:
    from virgo_factory.rollouts.run.run import Event


LINE_SECONDS = 30  # between two lines where there is no terminal
WRITE_SECONDS = 5  # between two versions of progress.json

SPEED_SECONDS = 600
"""Over which the speed is taken: some of the longest thoughts end in it, and a server that goes is seen."""

FEW = 10  # finished rollouts before which no time left is told: the first that end are the short ones
MOST_MESSAGES = 20  # messages of one kind that are printed; more of them are only counted

WORDS = {
    "dropped": "cannot be asked:",
    "gave_up": "gave up, the next start asks again:",
    "lost": "lost",
    "back": "back:",
}


class Track:
    """One model's part of a run, as far as it has come."""

    def __init__(self, model: str, total: int, done: int, now: float) -> None:
        self.model, self.total, self.done, self.earlier = model, total, done, done
        self.finished = self.tokens = self.judged_tokens = self.accepted = 0
        self.outcomes: Counter = Counter()
        self.is_told = False
        self._marks = deque([(now, 0, 0)])  # when how many rollouts and tokens were finished, a mark every few seconds

    def finish(self, tokens: int, now: float) -> None:
        """Count a finished rollout."""
        self.done += 1
        self.finished += 1
        self.tokens += tokens
        if now - self._marks[-1][0] > SPEED_SECONDS / 100:
            self._marks.append((now, self.finished, self.tokens))
            while now - self._marks[0][0] > SPEED_SECONDS and len(self._marks) > 2:
                self._marks.popleft()

    @property
    def waiting(self) -> int:
        """Rollouts that have no verdict yet."""
        return self.finished - self.outcomes.total()

    def speed(self, now: float) -> tuple[float, float]:
        """Return rollouts and tokens a second, of those that have finished."""
        since, finished, tokens = self._marks[0]
        seconds = max(now - since, 1e-3)
        return (self.finished - finished) / seconds, (self.tokens - tokens) / seconds

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the last one at this speed; None where too few have finished to tell."""
        rollouts, _ = self.speed(now)
        return (self.total - self.done) / rollouts if rollouts and self.finished >= FEW else None


class Live:
    """The view of one run: a context manager, called with every Event; safe to call from any thread."""

    def __init__(
        self,
        console: Any,  # a rich Console
        folder: Path,  # of the rollouts; progress.json is written there
        servers: int,  # how many URLs are asked
        response_format: str,  # of the config; only what is well formed in it is accepted
        shard: tuple[int, int] | None = None,  # (i, n) of `--shard i/n`
    ) -> None:
        self._console = console
        self._path = folder / (f"progress-{shard[0]}of{shard[1]}.json" if shard else "progress.json")
        self._servers, self._format = servers, response_format
        self._passes: dict[str, Track] = {}
        self._current: Track | None = None
        self._unjudged: dict[tuple, tuple[int, bool]] = {}  # key -> tokens, well formed
        self._lost: set[str] = set()
        self._told: Counter = Counter()
        self._flying = 0
        self._written = self._line_at = 0.0
        self._lock, self._stop = threading.RLock(), threading.Event()
        self._live: Any = None
        self._thread = threading.Thread(target=self._tick, name="live view", daemon=True)

    def __enter__(self) -> "Live":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with self._lock:
            self._flying = 0
            self._refresh(ended=True)
            if self._live:
                self._live.stop()

    def __call__(self, event: "Event") -> None:
        """Count what happened, and tell what a person should know at once."""
        with self._lock:
            self._flying = event.flying
            self._told[event.kind] += 1
            match event.kind:
                case "start":
                    if event.model in self._passes and not self._console.is_terminal:
                        self._print_lines(time.monotonic())  # its earlier pass ends here

                    self._current = Track(event.model, event.total, event.done, time.monotonic())
                    self._passes[event.model] = self._current
                    self._line_at = self._line_at or time.monotonic()
                case "rollout":
                    self._finish(event.rollout)
                case "verdict":
                    self._judge(event)
                case "lost":
                    self._lost.add(event.url)
                case "back":
                    self._lost.discard(event.url)

            if event.message or event.kind in WORDS:
                self._tell(event)

    def _finish(self, rollout: Any) -> None:
        self._passes[rollout.model].finish(rollout.completion_tokens, time.monotonic())
        is_good = bool(read_thought(rollout.response, self._format)[0])
        self._unjudged[rollout.key] = rollout.completion_tokens, is_good

    def _judge(self, event: "Event") -> None:
        key = (event.question, event.model, event.sample)
        if key not in self._unjudged:
            return  # a rollout of an earlier start

        at = self._passes[event.model]
        verdict = event.verdict
        outcome = verdict["verdict"] if verdict["state"] == "complete" else verdict["state"]
        tokens, is_good = self._unjudged.pop(key)
        at.outcomes[outcome] += 1
        at.judged_tokens += tokens
        at.accepted += is_good and outcome == "correct" and event.sample != GREEDY

    def _tell(self, event: "Event") -> None:
        from rich.text import Text

        count = self._told[event.kind]
        if event.kind == "retry" or count > MOST_MESSAGES:
            return

        message = event.message.removeprefix(f"{event.url}: ")  # errors of servers begin with it
        text = " ".join(filter(None, (WORDS.get(event.kind), event.question, event.url, message)))
        style = "yellow" if event.kind in ("dropped", "gave_up", "lost", "budget", "questions") else ""
        more = "\n(further ones like this are only counted)" if count == MOST_MESSAGES else ""
        self._console.print(Text(visible(text) + more, style), soft_wrap=True)

    def _tick(self) -> None:
        while not self._stop.wait(0.5):
            with self._lock:
                self._refresh()

    def _refresh(self, ended: bool = False) -> None:
        now = time.monotonic()
        if not self._current:
            return

        if ended or now - self._written > WRITE_SECONDS:
            self._written = now
            self._write(now, ended)

        if self._console.is_terminal:
            if not self._live:
                from rich.live import Live as RichLive

                self._live = RichLive(console=self._console, auto_refresh=False)
                self._live.start()

            self._live.update(self._view(now), refresh=True)
        elif ended or now - self._line_at > LINE_SECONDS:
            self._print_lines(now)

    def _print_lines(self, now: float) -> None:
        """Print a line for each pass that goes on, and once for one that is over."""
        self._line_at = now
        for at in self._passes.values():
            if not at.is_told:
                outcomes, speed = self._words(at, now)
                line = " · ".join([f"{visible(at.model)}: {at.done:,} of {at.total:,}", *outcomes, *speed])
                self._console.print(line, markup=False, soft_wrap=True)
                at.is_told = at.done >= at.total and not at.waiting

    def _write(self, now: float, ended: bool) -> None:
        """Write progress.json. Nobody loses a rollout when that fails, so it may."""
        rollouts, tokens = self._current.speed(now)
        told = {
            "running": not ended,
            "pid": os.getpid(),
            "model": self._current.model,
            "done": self._current.done,
            "total": self._current.total,
            "rollouts_per_second": rollouts,
            "tokens_per_second": tokens,
        }
        with contextlib.suppress(OSError):
            replace_file(self._path, json.dumps(told).encode(), sync=False)

    def _view(self, now: float) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        passes = Table.grid(padding=(0, 2))
        for at in self._passes.values():
            bar = ProgressBar(max(at.total, 1), at.done, width=24)
            is_judged = at is not self._current and any(at.outcomes[outcome] for outcome in OUTCOMES)
            correct = f"{at.outcomes['correct']:,} correct" if is_judged else ""
            passes.add_row(visible(at.model), bar, f"{at.done:,} of {at.total:,}", correct)

        return Group(passes, *(Text(" · ".join(part)) for part in self._words(self._current, now) if part))

    def _words(self, at: Track, now: float) -> tuple[list[str], list[str]]:
        """Return what is known of a pass: its rollouts' outcomes, and its speed and cost."""
        outcomes = [f"{at.outcomes[outcome]:,} {outcome}" for outcome in OUTCOMES]
        if at.earlier:
            outcomes[0] = f"in this start {outcomes[0]}"

        if at.waiting:
            outcomes.append(f"{at.waiting:,} being judged")

        speed = []
        left = at.seconds_left(now)
        if left is not None and at.done < at.total and not self._stop.is_set():
            speed.append(f"{duration(left)} left")

        if at.finished:
            speed.append(f"{at.speed(now)[1]:,.0f} tokens/s")

        if at.accepted:
            speed.append(f"{at.judged_tokens / at.accepted:,.0f} tokens per accepted response")

        if self._servers > 1 or self._lost:
            speed.append(f"{max(self._servers - len(self._lost), 0)} of {self._servers} servers")

        if self._flying:
            speed.append(f"{self._flying:,} in flight")

        if retries := self._told["retry"]:
            speed.append(f"{retries:,} {'retry' if retries == 1 else 'retries'}")

        return outcomes, speed


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> duration(8), duration(754), duration(20_000), duration(200_000)
    ('8 s', '12 min 34 s', '5 h 33 min', '2 d 7 h')
    """
    seconds = round(seconds)
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // next_size} {next_unit}"

    return f"{seconds} s"
