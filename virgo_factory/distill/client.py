"""Asking one server of an OpenAI-compatible API (vLLM) for responses: streamed in chunks, counted, cut where they loop."""

from dataclasses import dataclass

from virgo_factory.distill.prompt import Prompt


class Unavailable(Exception):
    """The server did not answer now: refused or dropped the connection, was silent, or failed. Ask again, or elsewhere."""


class Refused(Exception):
    """The server will never answer this request (4xx).

    Attributes:
        status: of the HTTP answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class WrongServer(Exception):
    """The server is not the one that was meant: not vLLM, not this model, or its context is too small."""


@dataclass(frozen=True)
class Sampling:
    """How responses are sampled. Sent in full, so that nothing depends on the model's own defaults.

    Attributes:
        temperature: 0 is greedy.
        top_p: share of the probability that is sampled from.
        top_k: number of tokens that are sampled from; 0 for all.
        repetition_penalty: 1 is none.
        max_tokens: of a response.
        cut_loops: stop a response that repeats itself.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int = 8192
    cut_loops: bool = True


@dataclass(frozen=True)
class Reply:
    """A finished response.

    Attributes:
        response: its text, markers in, the end of turn left out.
        finish_reason: "stop", "length" (cut off at max_tokens) or "loop" (cut off by us).
        prompt_tokens: as the server counted them.
        completion_tokens: likewise.
        seconds: from request to end of response, waits between retries left out.
        retries: how often it was asked again before.
        url: of the server.
    """

    response: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    retries: int
    url: str


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself.

    Attributes:
        models: names under which it serves.
        max_model_len: tokens of its context; None where it does not say.
        version: of vLLM.
    """

    models: tuple[str, ...]
    max_model_len: int | None
    version: str


async def look_at(url: str, api_key: str | None = None) -> ServerFacts:
    """Return what a server says of itself.

    Args:
        url: with or without `/v1` at its end.
        api_key: is sent, and stands nowhere else.

    Raises:
        Unavailable: nobody answers there.
        Refused: the key is not accepted.
        WrongServer: it is no vLLM server.
    """
    raise NotImplementedError


class Endpoint:
    """One model on one server; `async with`, or `await close()` at the end.

    Args:
        url: with or without `/v1` at its end.
        model: the name under which the server has it.
        api_key: is sent, and stands nowhere else: in no message, repr or log.
        timeout: seconds without a token after which the server counts as gone.
        retries: how often a busy server (429, 503) is asked again, with growing waits.
    """

    def __init__(
        self, url: str, model: str, api_key: str | None = None, *, timeout: float = 600.0, retries: int = 4
    ) -> None:
        self.url, self.model = url, model

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int) -> Reply:
        """Return the response to a prompt.

        Raises:
            Unavailable: see there.
            Refused: see there.
            WrongServer: the server does not have the model.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close its connections."""
