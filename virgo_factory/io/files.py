"""Where the files that ship with the package are: recipes, templates, dataset_info.json; and whether a folder can be had.

In the repository they stand at the top; `virgo_factory/bundle/` holds links to them, which the wheel follows.
"""

import contextlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from virgo_factory.core.errors import UserError


BUNDLE = Path(__file__).parents[1] / "bundle"
RECIPES = BUNDLE / "recipes"
TEMPLATES = BUNDLE / "templates"
DATASET_INFO = BUNDLE / "dataset_info.json"


def check_file(path: Path) -> None:
    """Raise ValueError where a file cannot be written: the path is a folder, or see `check_folder`."""
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name a file in it.")

    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Raise ValueError where a folder can neither be made nor written into; what was made to find out is gone again.

    Called before anything is read or started, so that hours of work do not end at the first file.
    """
    missing = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        file = next(
            (place for place in (folder, *folder.parents) if os.path.exists(place) and not place.is_dir()), None
        )
        reason = f"{file} is a file" if file else error.strerror or str(error)
        raise UserError(
            f"{folder}: this folder for the output cannot be made or written into ({reason}). Name another one."
        ) from None
    finally:
        _remove_empty(missing)


@contextlib.contextmanager
def made_folder(folder: Path, by_products: Collection[str] = ()) -> Iterator[None]:
    """Context of a folder that is made where it is missing, and gone again where an error left nothing in it but empty files.

    `by_products`: names of files that count as empty. A lock file in use is not empty, so another process's folder stays.
    """
    missing = _missing(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        there = list(folder.iterdir()) if folder in missing else [folder]
        if all(file.is_file() and (file.name in by_products or not file.stat().st_size) for file in there):
            for file in there:
                file.unlink()

            _remove_empty(missing)

        raise


def _missing(folder: Path) -> list[Path]:
    return [place for place in (folder, *folder.parents) if not os.path.exists(place)]


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
