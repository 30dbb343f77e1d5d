"""A file or folder that is there whole or not at all, whoever looks and whenever its writer is killed."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from virgo_factory.core.errors import UserError


TEXT = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
"""How a text file is written: half a surrogate pair, which UTF-8 has not, as the escape that JSON has for it."""


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which is moved to `path` at the end; where the writing fails, what was there stays.

    A killed process leaves `.NAME.PID.partial` beside it at the most. The mode of a file that is replaced is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        if path.exists():
            shutil.copymode(path, partial)

        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_file(path: Path, mode: str = "w", sync: bool = True) -> Iterator[IO[Any]]:
    """Yield the file that becomes `path` at the end, see `new_path`; text as in `TEXT`.

    `sync`: whether it is on the disk before it is moved, so that a loss of power does not leave an empty file.
    """
    text = {} if "b" in mode else TEXT
    with new_path(path) as partial, partial.open(mode, **text) as file:
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())


def replace_file(path: Path, content: bytes, sync: bool = True) -> None:
    """Put `content` at `path`, see `new_file`."""
    with new_file(path, "wb", sync) as file:
        file.write(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Put `content` at `path` as JSON that a person can read, see `new_file`."""
    replace_file(path, json.dumps(content, ensure_ascii=False, indent=1).encode())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which is moved to `path` at the end; where the filling fails, nothing stays.

    A killed process leaves `.NAME.partial` beside it at the most, which the next one to make the folder removes.

    Raises:
        ValueError: something is there already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is there already. Name a new folder.")

    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(path)  # also onto an empty folder
    finally:
        shutil.rmtree(partial, ignore_errors=True)
