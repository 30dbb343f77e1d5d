"""A process that runs a command and lives no longer than its parent; `python die_with_parent.py PARENT COMMAND ...`.

The command and its children share the guard's process group, which is killed when the command ends or the parent is gone,
however it went: a server with a GPU in its hands must not outlive the run that started it. Imports nothing of the package,
since it stays in memory beside the server.
"""

import os
import signal
import subprocess
import sys
import time


GRACE = 20.0  # seconds between SIGTERM and SIGKILL


def main(parent: int, command: list[str]) -> None:
    """Run the command to its end, or to the parent's; then kill the whole process group, this process included."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they go to the group, and are meant for the command

    child = subprocess.Popen(command, preexec_fn=_default_signals)
    while child.poll() is None and os.getppid() == parent:
        time.sleep(0.25)

    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            pass

    code = child.poll()
    print("[virgo-factory] the server", "is killed" if code is None else f"ended with exit code {code}", flush=True)
    os.killpg(0, signal.SIGKILL)


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
