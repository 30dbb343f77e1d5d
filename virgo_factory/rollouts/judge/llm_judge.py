"""A language model as judge for what rules cannot decide: any OpenAI-compatible server, asked a bounded number of times.

Its reply is read strictly; a judge that fails is not a model that failed, so every failure is unverifiable. What it replied is
kept in judgements.jsonl, so that nobody pays for it twice. The key is read from the environment when a request is made and is
never stored, printed or written.
"""

import base64
import hashlib
import http.client
import io
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Answer, Question, Verdict
from virgo_factory.core.errors import UserError
from virgo_factory.io.files import TEMPLATES
from virgo_factory.rollouts.shown import asked_with_options
from virgo_factory.rollouts.store.jsonl import digest
from virgo_factory.rollouts.store.records import Records


T = TypeVar("T")


MAX_FIELD = 4_000  # longest question, gold or answer that is put into the prompt, in characters
UNDECIDED = frozenset(("two_options", "too_large", "timeout", "gold_unclear", "options_missing", "crashed"))
"""Reasons of an unverifiable verdict that a judge may decide. Without a gold there is nothing to compare."""

_REPLY = re.compile(r"\s*(?:\*\*|\")?(CORRECT|WRONG)(?:\*\*|\")?\s*\.?\s*")
_TAG = re.compile(r"</?(?:question|reference_answer|response|answer)>", re.IGNORECASE)
_FAILURES = (OSError, ValueError, KeyError, IndexError, TypeError, http.client.HTTPException)


@dataclass(frozen=True)
class LLMJudge:
    """Where the judge is and how often it is asked."""

    url: str  # base URL of the server, such as http://localhost:8000/v1
    model: str
    key_variable: str = "OPENAI_API_KEY"  # environment variable that holds the key; a server without one needs none
    template: str = "judge_equivalence.txt"  # file in templates/ with the places {question}, {gold} and {answer}
    tries: int = 3  # requests for one verdict, failures and unreadable replies together
    seconds: float = 60.0  # limit of one request
    pause: float = 1.0  # seconds before the second try, doubled before each further one
    stored: Records | None = None  # its replies so far, see `judgements`; without them each is asked for
    every: bool = False  # whether `settle` asks about every response, not only about what rules cannot decide

    def check(self, sees: bool = False) -> None:
        """Raise ValueError unless the server answers, and takes pictures where it `sees`: nobody waits for hours to hear of it."""
        self._check_model()
        if not sees:
            return

        from PIL import Image

        buffer = io.BytesIO()
        Image.new("RGB", (56, 56), "white").save(buffer, "PNG")
        try:
            self._ask("Reply with OK.", 8, [f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"])
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                told = f"the judge at {self.url} takes no picture (HTTP {error.code}). Name one that sees."
                raise UserError(told) from None
        except _FAILURES:
            return  # it may be busy: what it fails on later is told

    def _check_model(self) -> None:
        try:
            names = [card["id"] for card in json.loads(self._send("/models"))["data"]]
        except urllib.error.HTTPError as error:
            if error.code in (404, 405, 501):
                return  # it lists nothing, and is there

            told = f"HTTP {error.code}. Its key is read from {self.key_variable}."
            raise UserError(f"the judge at {self.url}: {told}") from None
        except _FAILURES as error:
            told = f"the judge at {self.url} does not answer ({error}). Start it, or correct its URL."
            raise UserError(told) from None

        if self.model not in names:
            raise UserError(f"the judge at {self.url} serves {', '.join(map(str, names[:10]))}, not {self.model}.")

    def prompt(self, answer: str, gold: Any, question: Question) -> str:
        """Return the prompt, in which no text from outside can close its own tag."""
        texts = {"question": asked_with_options(question), "gold": str(gold), "answer": answer}
        return self.filled(self.template, texts)

    @staticmethod
    def filled(template: str, fields: Mapping[str, str], most: int = MAX_FIELD) -> str:
        """Return a file of templates/ with its places filled, the last characters of each; no text can close its own tag."""
        prompt = (TEMPLATES / template).read_text(encoding="utf-8")
        return re.sub(r"\{(question|gold|answer)\}", lambda place: _TAG.sub(" ", fields[place[1]])[-most:], prompt)

    def judge(
        self, answer: Answer | str, gold: Any, question: Question | None = None, response: str | None = None
    ) -> Verdict:
        """Return the judge's verdict, unverifiable after `tries` failures; its reply is kept by the response that the answer was found in."""
        text = answer.text if isinstance(answer, Answer) else str(answer)
        found = self.ask(
            self.prompt(text, gold, question or Question()), text if response is None else response, _said
        )
        verdict, reason = _VERDICTS.get(found, (UNVERIFIABLE, "judge_failed"))
        return Verdict(verdict, reason, answer=answer if isinstance(answer, Answer) else None)

    def settle(
        self, verdict: Verdict, gold: Any, question: Question | None = None, response: str | None = None
    ) -> Verdict:
        """Return the verdict itself, or the judge's where the rules could not decide, or where it sees `every` response."""
        has_answer = verdict.answer and verdict.answer.text
        if has_answer and (self.every or (verdict.verdict == UNVERIFIABLE and verdict.reason in UNDECIDED)):
            return self.judge(verdict.answer, gold, question, response)

        return verdict

    def ask(
        self,
        prompt: str,
        response: str,
        read: Callable[[str], T | None],
        max_tokens: int = 16,
        pictures: Sequence[str] = (),
    ) -> T | None:
        """Return what `read` makes of the judge's reply to any prompt; None after `tries` failures or replies that it makes None of.

        A readable reply is kept, and not asked for again: of this model, to this prompt, about this response. `pictures` are URLs or data
        URIs of what stands in front of the prompt.
        """
        asked = hashlib.sha256(json.dumps([self.model, prompt, max_tokens, *pictures]).encode()).hexdigest()
        key = f"{digest(response)} {asked}"
        if self.stored is not None and (row := self.stored.get(key)):
            return read(row["reply"])

        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))

            try:
                reply = self._ask(prompt, max_tokens, pictures)
            except _FAILURES:
                continue

            if (found := read(reply)) is not None:
                if self.stored is not None:
                    with self.stored.lock:
                        if key not in self.stored:
                            self.stored.append({"key": key, "model": self.model, "reply": reply})

                return found

        return None

    def _ask(self, prompt: str, max_tokens: int, pictures: Sequence[str] = ()) -> str:
        shown = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
        content = [*shown, {"type": "text", "text": prompt}] if shown else prompt
        messages = [{"role": "user", "content": content}]
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": max_tokens}
        reply = json.loads(self._send("/chat/completions", json.dumps(body).encode()))["choices"][0]["message"]
        return reply["content"] if isinstance(reply["content"], str) else ""

    def _send(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            self.url.rstrip("/") + path, data=body, headers={"Content-Type": "application/json"}
        )
        if key := os.environ.get(self.key_variable):
            # Unredirected: a redirect to another host must not carry the key.
            request.add_unredirected_header("Authorization", f"Bearer {key}")

        if not request.full_url.startswith(("http://", "https://")):
            raise UserError("the judge's URL is not http(s)")

        with urllib.request.urlopen(request, timeout=self.seconds) as reply:
            return reply.read(1_000_000)


def judgements(folder: Path) -> Records:
    """Return the replies of judges that a folder keeps in judgements.jsonl; a context manager."""
    return Records(folder, "judgements", lambda row: row["key"])


def _said(reply: str) -> str | None:
    found = _REPLY.fullmatch(reply)
    return found and found[1]


_VERDICTS = {"CORRECT": (CORRECT, "judge_says_correct"), "WRONG": (WRONG, "judge_says_wrong")}
