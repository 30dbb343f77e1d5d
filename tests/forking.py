"""Processes that cost little: each is forked from one that has imported all it needs, and that all workers of pytest share.

Imports take a training 15 seconds of processor time, a vLLM server 13, LLaMA-Factory's libraries 10, and a worker of
pytest-xdist 12. Where pytest-xdist is used, its first process starts the servers, and each worker is forked, too: this file
is their Python.

`python forking.py KIND -c CODE ARGUMENTS` does what `python -c CODE ARGUMENTS` does, in a process that is forked from the
server of that kind, and has stdin, stdout and stderr of this one, which waits for its end.
"""

import atexit
import contextlib
import functools
import multiprocessing
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing import forkserver, reduction
from pathlib import Path
from threading import Thread


ROOT = Path(__file__).parents[1]
TRAININGS, PROGRAMS, VLLM = "trainings", "programs", "vllm"
PRELOADED = {
    TRAININGS: "tests.integration.preloaded",
    PROGRAMS: "tests.integration.libraries",
    VLLM: "virgo_factory.rollouts.servers.cpu_server",
}
"""Kind -> what its server has imported. Workers of pytest are forked from that of trainings."""
AUTOLOAD = "TORCH_DEVICE_BACKEND_AUTOLOAD"
READ_AT_IMPORT = {PROGRAMS: {AUTOLOAD: "0"}, VLLM: {"TORCH_COMPILE_DISABLE": "1"}}
"""Kind -> environment of its server; what is forked has that of who asks."""
PROGRAM = f"""\
import os, torch
if os.environ.get("{AUTOLOAD}") != "0":
    torch._import_device_backends()
"""
"""How the code of a program begins: with torch's autoload, which `import torch` ends with, and which its server leaves out."""
SCRIPT = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
COMMAND = f"{PROGRAM}import sys; sys.argv[0] = 'llamafactory-cli'; from llamafactory.cli import main; main()"


@functools.cache
def server_of(kind: str) -> forkserver.ForkServer:
    """Return the server of a kind: started here, or by a process that we come from, which left its address in the environment."""
    server, name = forkserver.ForkServer(), f"FORK_SERVER_OF_{kind.upper()}"
    if address := os.environ.get(name):
        server._forkserver_address = address
        server._forkserver_alive_fd = os.open(os.devnull, os.O_WRONLY)
        server.ensure_running = lambda: None
        return server

    server.set_forkserver_preload([PRELOADED[kind]])
    before = dict(os.environ)
    with contextlib.chdir(ROOT):  # it finds the module there
        try:
            os.environ.update(READ_AT_IMPORT.get(kind, {}))
            server.ensure_running()
        finally:
            os.environ.clear()
            os.environ.update(before)

    os.environ[name] = server._forkserver_address
    return server


def start(kind: str, target: Callable, *arguments: object) -> multiprocessing.Process:
    """Return a process, forked from a server, that calls a function."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    default = forkserver.connect_to_new_process
    forkserver.connect_to_new_process = server_of(kind).connect_to_new_process
    try:
        process.start()
    finally:
        forkserver.connect_to_new_process = default

    return process


def command(kind: str, code: str, *arguments: str) -> list[str]:
    """Return what does what `python -c CODE ARGUMENTS` does; its environment is to be taken afterwards."""
    server_of(kind)
    return [sys.executable, "-P", __file__, kind, "-c", code, *arguments]


def vllm_command(stock: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Return `vllm_command` (rollouts/servers/server.py) of servers that are forked behind their imports."""

    def forked(*arguments: object, **options: object) -> list[str]:
        python, safe, module, *given = stock(*arguments, **options)
        assert (python, safe, module) == (sys.executable, "-P", "-m")
        code = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__')"
        return command(VLLM, code, *given)

    return forked


class _Descriptor:
    """A descriptor of this process, which becomes the number of the same file in the process that it is sent to."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple:
        return _detach, (reduction.DupFd(self.number),)


def _detach(sent: reduction.DupFd) -> int:
    return sent.detach()


def begin(
    kind: str, code: str, arguments: list[str], environment: Mapping[str, str], files: list[int]
) -> multiprocessing.Process:
    """Return a process, forked from a server, that does what `python -c CODE ARGUMENTS` does; `files` are its first descriptors."""
    given = [_Descriptor(file) for file in files]
    return start(kind, _run, code, arguments, dict(environment), os.getcwd(), given, os.getpid())


def _run(
    code: str, arguments: list[str], environment: dict[str, str], folder: str, files: list[int], waits: int
) -> None:
    os.setsid()
    Thread(target=_end_with, args=(os.pidfd_open(waits),), daemon=True).start()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files):
        os.dup2(file, number)

    sys.stdin = open(0)
    sys.argv = ["-c", *arguments]
    try:
        exec(code, {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()


def _end_with(process: int) -> None:
    """Kill this process and what it started when the one that waits for it ends."""
    select.select([process], [], [])
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Do what the command line says, and return the exit code."""
    at = sys.argv.index("-c")
    process = begin(sys.argv[1], sys.argv[at + 1], sys.argv[at + 2 :], os.environ, [0, 1, 2])
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    process.join()
    return process.exitcode


if __name__ == "__main__":
    sys.exit(main())
