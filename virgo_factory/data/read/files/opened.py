"""Files as they are opened: packed by gzip or not, in UTF-8 or told how to make it."""

import contextlib
import gzip
import re
import shlex
import zlib
from pathlib import Path
from typing import IO

from virgo_factory.data.read.files.chunks import UnreadableFile, suffix_of


BOM = b"\xef\xbb\xbf"
UNPACKING = (EOFError, zlib.error, gzip.BadGzipFile)
"""What a packed file that is damaged raises."""


def is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if is_packed(path) else path.open("rb")


def position(file: IO[bytes]) -> int:
    """Return how many bytes of the file itself have been read."""
    return getattr(file, "fileobj", file).tell()


def broken_off(path: Path, line: int, error: Exception) -> UnreadableFile:
    return UnreadableFile(
        f"{path}:{line}: the packed file breaks off or is damaged here ({error}). Fetch it again.", line
    )


def check_encoding(path: Path) -> None:
    """Raise UnreadableFile for a file in UTF-16 or UTF-32, which every line of it would be told to be broken for."""
    with opened(path) as file:
        try:
            head = file.read(4096)
        except UNPACKING as error:
            raise broken_off(path, 1, error) from None

    name = None
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        name = "UTF-32"
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")) or re.match(rb"(?:[\t\n\r -~]\0){2}|(?:\0[\t\n\r -~]){2}", head):
        name = "UTF-16"

    if name:
        quoted = shlex.quote(str(path))
        how = f"iconv -f {name} -t UTF-8 {quoted}"
        if is_packed(path):
            how = f"gzip -dc {quoted} | iconv -f {name} -t UTF-8"

        raise UnreadableFile(f"{path}: not UTF-8, but {name} (byte 0). Convert it: {how} > NEW{suffix_of(path)}")


def convert_it(content: bytes) -> str:
    """Return how to make UTF-8 of a text in another encoding: GBK where that gives Chinese, else Windows-1252."""
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode("gb18030")
        # one alone may be two letters with accents: \u9c9e is \u00f6\u00df
        words = re.findall("[\u4e00-\u9fff]{2,}", text)
        if len("".join(words)) > sum(ord(letter) > 127 for letter in text) / 2:
            return "If the file is in GBK: iconv -f GB18030 -t UTF-8 FILE > NEW"

    return "If the file is Latin-1 or Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
