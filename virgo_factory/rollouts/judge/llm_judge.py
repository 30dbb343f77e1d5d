"""A language model as judge for what rules cannot decide: any OpenAI-compatible server, asked a bounded number of times.

Its reply is read strictly; a judge that fails is not a model that failed, so every failure is unverifiable. The key is read
from the environment when a request is made and is never stored, printed or written.
"""

import http.client
import json
import os
import re
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from virgo_factory.answers.model import CORRECT, UNVERIFIABLE, WRONG, Answer, Question, Verdict
from virgo_factory.core.errors import UserError
from virgo_factory.io.files import TEMPLATES


MAX_FIELD = 4_000
"""Longest question, gold or answer that is put into the prompt, in characters."""
UNDECIDED = frozenset(("two_options", "too_large", "timeout", "gold_unclear", "options_missing", "crashed"))
"""Reasons of an unverifiable verdict that a judge may decide. Without a gold there is nothing to compare."""

_REPLY = re.compile(r"\s*(?:\*\*|\")?(CORRECT|WRONG)(?:\*\*|\")?\s*\.?\s*")
_TAG = re.compile(r"</?(?:question|reference_answer|answer)>", re.IGNORECASE)


@dataclass(frozen=True)
class LLMJudge:
    """Where the judge is and how often it is asked.

    Attributes:
        url: base URL of the server, such as http://localhost:8000/v1.
        model: name it serves.
        key_variable: environment variable that holds the key; a server without one needs none.
        template: file in templates/ with the places {question}, {gold} and {answer}.
        tries: requests for one verdict, failures and unreadable replies together.
        seconds: limit of one request.
        pause: seconds before the second try, doubled before each further one.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    template: str = "judge_equivalence.txt"
    tries: int = 3
    seconds: float = 60.0
    pause: float = 1.0

    def prompt(self, answer: str, gold: Any, question: Question) -> str:
        """Return the prompt, in which no text from outside can close its own tag."""
        asked = question.text
        if question.options:
            asked += "\n" + "\n".join(f"({chr(65 + index)}) {option}" for index, option in enumerate(question.options))
        prompt = (TEMPLATES / self.template).read_text(encoding="utf-8")
        fields = {"question": asked, "gold": str(gold), "answer": answer}
        return re.sub(
            r"\{(question|gold|answer)\}", lambda place: _TAG.sub(" ", fields[place[1]])[-MAX_FIELD:], prompt
        )

    def judge(self, answer: Answer | str, gold: Any, question: Question | None = None) -> Verdict:
        """Return the judge's verdict; unverifiable after `tries` failures."""
        text = answer.text if isinstance(answer, Answer) else str(answer)
        prompt = self.prompt(text, gold, question or Question())
        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            try:
                found = _REPLY.fullmatch(self._ask(prompt))
            except (OSError, ValueError, KeyError, IndexError, TypeError, http.client.HTTPException):
                continue
            if found:
                verdict, reason = (
                    (CORRECT, "judge_says_correct") if found[1] == "CORRECT" else (WRONG, "judge_says_wrong")
                )
                return Verdict(verdict, reason, answer=answer if isinstance(answer, Answer) else None)
        return Verdict(UNVERIFIABLE, "judge_failed", answer=answer if isinstance(answer, Answer) else None)

    def settle(self, verdict: Verdict, gold: Any, question: Question | None = None) -> Verdict:
        """Return the verdict itself, or the judge's where the rules could not decide."""
        if (
            verdict.verdict != UNVERIFIABLE
            or verdict.reason not in UNDECIDED
            or not (verdict.answer and verdict.answer.text)
        ):
            return verdict
        return self.judge(verdict.answer, gold, question)

    def _ask(self, prompt: str) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": 16,
        }
        request = urllib.request.Request(
            self.url.rstrip("/") + "/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        if key := os.environ.get(self.key_variable):
            # Unredirected: a redirect to another host must not carry the key.
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        if not request.full_url.startswith(("http://", "https://")):
            raise UserError("the judge's URL is not http(s)")
        with urllib.request.urlopen(request, timeout=self.seconds) as reply:
            content = json.loads(reply.read(1_000_000))["choices"][0]["message"]["content"]
        return content if isinstance(content, str) else ""
