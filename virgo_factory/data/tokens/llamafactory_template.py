"""Tokens of rows in a template that is not one of ours: asked of LLaMA-Factory, in one child process, in lines of JSON."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.data.read.source import Settings
from virgo_factory.data.tokens.tokens import TEMPLATE_FILES, Tokens, render
from virgo_factory.io.fingerprint import PACKAGE


CHILD = PACKAGE / "hooks" / "rows" / "counting.py"
"""Run as a script of its own: only hooks/ knows LLaMA-Factory."""


class ForeignTokenizer:
    """What `RowTokenizer` is for our templates; starting it takes ten seconds, for LLaMA-Factory imports torch.

    Raises:
        ValueError: LLaMA-Factory does not know the template, or cannot load the model's tokenizer.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._child = subprocess.Popen(
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        self.special: tuple[str, ...] = tuple(self._ask(asdict(settings))["special"])

    def messages(self, example: Example) -> list[tuple[str, str]]:
        """Return the questions and rendered responses of an example, in turns."""
        return [(turn.question, render(turn.response)) for turn in example.turns]

    def count(self, examples: Sequence[Example], sizes: Sequence[Sequence[tuple[int, int]]]) -> list[Tokens]:
        """Return the lengths of rows (see `RowTokenizer.count`); a prefix of the response counts as response."""
        rows = []
        for example, size in zip(examples, sizes, strict=True):
            messages = []
            for question, answer in self.messages(example):
                messages.append({"role": "user", "content": question})
                messages.append({"role": "assistant", "content": answer})

            rejected = None if example.rejected is None else render(example.rejected)
            learned = [turn.learned and rejected is None for turn in example.history] + [example.learned]
            system = example.system or ""
            row = {"messages": messages, "rejected": rejected, "system": system, "sizes": list(size)}
            rows.append({**row, "learned": learned})

        return [Tokens(*tokens) for tokens in self._ask(rows)["tokens"]]

    def _ask(self, question: Any) -> dict[str, Any]:
        what = f"template {self.settings.template!r}, tokenizer {self.settings.tokenizer}"
        try:
            print(json.dumps(question), file=self._child.stdin, flush=True)
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""

        if not line:
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:]
            raise UserError(f"{what}: LLaMA-Factory's process ended ({last[0] if last else 'without a word'}).")

        answer = json.loads(line)
        if "error" in answer:
            near = (
                get_close_matches(self.settings.template, TEMPLATE_FILES, 1)
                if "does not exist" in answer["error"]
                else ()
            )
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(f"{what}: LLaMA-Factory says: {answer['error']}{hint}")

        return answer

    def close(self) -> None:
        self._child.kill()  # it writes nothing
        self._child.communicate()
        self._log.close()

    def __del__(self) -> None:
        if self._child.poll() is None:
            self.close()
