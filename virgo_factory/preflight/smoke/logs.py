"""What the logs and the output folder of a run say."""

import contextlib
import errno
import json
import re
from pathlib import Path
from typing import Any


def read_log(log: Path) -> str:
    """Return a log as it stood on a terminal: of each line what its progress bars left, without colours."""
    text = log.read_bytes().decode("utf-8", errors="replace")
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


_RANK = re.compile(r"^\[(?:rank|default)?\d+\]:\s?")
_ERROR = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?=:|$)")
_LAUNCHER = re.compile(r"ChildFailedError|CalledProcessError|SignalException|DistBackendError|DistNetworkError")
_NEXT = re.compile(r"^(?:$|\[|Traceback|[EWI]\d{4} |The above exception|During handling|\S+ \d\d:\d\d)")


def find_error(text: str) -> str:
    """Return the error that a log is about: of all ranks the first that is not the launcher's, all of its lines.

    >>> find_error("Traceback (most recent call last):\\n  File x\\n[rank0]: ValueError: no rows.\\n")
    'ValueError: no rows.'
    """
    lines = [_RANK.sub("", line) for line in text.splitlines()]
    full = next((line.strip() for line in lines if is_disk_full(line)), None)
    if full:
        return full

    for place, line in enumerate(lines):
        if _ERROR.match(line) and not _LAUNCHER.search(line):
            more = []
            for following in lines[place + 1 : place + 12]:
                if _NEXT.match(following) or _ERROR.match(following):
                    break

                more.append(following.rstrip())

            return "\n".join([line.rstrip(), *more])[:1500]

    if re.search(r"exitcode\s*: -9|Signal 9|SIGKILL", text):
        return "a rank was killed (signal 9): most likely the memory of this machine is full"

    said = [line for line in lines if line.strip()]
    return "no error in its log, which ends:\n" + "\n".join(said[-5:]) if said else "it ended without a word"


_REMEDIES = (
    (
        r"signal 9|out of memory|Cannot allocate memory|DefaultCPUAllocator",
        "use fewer --ranks, or a machine with more memory",
    ),
    (r"not used by the HfArgumentParser", "correct the key in the recipe"),
    (r"Undefined dataset|not found", "correct dataset and dataset_dir in the recipe"),
    (r"Template .* does not exist", "correct template in the recipe"),
    (r"global_batch_size", "correct the batch sizes in the recipe"),
    (r"Target modules .* not found|No `target_modules` passed", "correct lora_target in the recipe"),
    (r"No module named '(?P<name>[^']+)'|\b(?P<other>[\w-]+) is not installed", "install what is missing: {found}"),
)


def find_remedy(reason: str) -> str:
    """Return what to do about an error of the log."""
    for pattern, remedy in _REMEDIES:
        if match := re.search(pattern, reason):
            found = next((value for value in match.groupdict().values() if value), "")
            return remedy.format(found=found)

    return "repair what the error names; the whole output is in the log"


def is_disk_full(error: Exception | str) -> bool:
    """Return whether an error, or the line of a log, says that the disk is full.

    >>> is_disk_full("SafetensorError: I/O error: No space left on device (os error 28)"), is_disk_full("nan")
    (True, False)
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True

    return any(said in str(error) for said in ("No space left on device", "Disk quota exceeded"))


def checkpoints(output: Path) -> list[int]:
    """Return the steps of the checkpoints of an output folder, in order."""
    found = (re.fullmatch(r"checkpoint-(\d+)", folder.name) for folder in output.glob("checkpoint-*"))
    return sorted(int(match[1]) for match in found if match)


def logged_steps(output: Path) -> list[dict[str, Any]]:
    """Return the entries with a loss of LLaMA-Factory's trainer_log.jsonl."""
    file = output / "trainer_log.jsonl"
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        with contextlib.suppress(ValueError):  # a line that is being written just now
            entry = json.loads(line)
            if "loss" in entry:
                found.append(entry)

    return found
