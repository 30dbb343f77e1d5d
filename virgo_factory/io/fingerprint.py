"""What rows were made with: file contents, our code and our prompts, so that nothing old is reused silently."""

import functools
import hashlib
from pathlib import Path

from virgo_factory import __version__
from virgo_factory.io.files import TEMPLATES


PACKAGE = Path(__file__).parent.parent
ROW_CODE = ("core", "formats", "data", "hooks")
CHECK_CODE = ("answers",)
"""What the rules of a check use on top of ROW_CODE."""


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, or one of the names and contents of a folder's files."""
    if path.is_file():
        return file_hash(path)

    listed = [f"{file.relative_to(path)} {file_hash(file)}" for file in sorted(path.rglob("*")) if file.is_file()]
    return hashlib.sha256("\n".join(listed).encode("utf-8", "surrogateescape")).hexdigest()


@functools.cache
def code_hash(more: tuple[str, ...] = ()) -> str:
    """Return a hash of the package's version, of the code that makes rows (and of `more`), and of its templates.

    The `datasets` cache sees importable classes by reference only (reference llamafactory_095.md section 12), so a
    changed format or an edited prompt would otherwise reuse old rows.
    """
    digest = hashlib.sha256(__version__.encode())
    files = [path for name in ROW_CODE + more for path in sorted((PACKAGE / name).rglob("*.py"))]
    for path in [*files, *sorted(TEMPLATES.iterdir())]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())

    return digest.hexdigest()[:16]
