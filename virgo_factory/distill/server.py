"""A vLLM server of our own: started on a free loopback port, waited for, watched, and stopped whatever happens."""

from collections.abc import Sequence
from pathlib import Path


class ServerError(RuntimeError):
    """The server could not be started, or died; the message says why and shows the end of its log."""


class Server:
    """A vLLM server as a context manager; the whole process group is gone when the block ends, or when we are killed.

    Args:
        model: folder or hub name.
        log: file that its output goes to.
        port: on 127.0.0.1; a free one if None.
        tensor_parallel_size: GPUs a replica.
        data_parallel_size: replicas.
        max_model_len: tokens of the context; the model's own if None.
        images: pictures a prompt, at most.
        args: more arguments of vLLM, which win over ours.
        minutes: after which a server that does not answer is given up.

    Attributes:
        url: of its API, once started.
        log: as given.
    """

    def __init__(
        self,
        model: str,
        log: Path,
        *,
        port: int | None = None,
        tensor_parallel_size: int = 1,
        data_parallel_size: int = 1,
        max_model_len: int | None = None,
        images: int = 1,
        args: Sequence[str] = (),
        minutes: float = 60.0,
    ) -> None:
        self.model, self.log, self.port = model, log, port
        self.url = ""

    def __enter__(self) -> "Server":
        """Start it and wait until it answers.

        Raises:
            ServerError: vLLM is not installed, the folder holds no model, the port is taken, or it died.
        """
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        """Stop it with all its processes."""

    def alive(self) -> bool:
        """Whether its process is still there."""
        raise NotImplementedError

    def end_of_log(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        raise NotImplementedError
