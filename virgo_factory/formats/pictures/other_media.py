"""Videos, audios, documents and models in space, which are not trained on."""

import functools
import re
from typing import Any

from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.pictures.names import BEFORE, MODIFIER, column_of, in_words, is_text_column
from virgo_factory.formats.pictures.values import FEATURE, IN_OBJECT, holds_picture, is_blank, shown
from virgo_factory.formats.row import RejectedRow


MEDIA = {
    # kind: (what it is called, how columns are called that hold one, suffixes, how its bytes begin)
    "video": ("a video", "videos?|movies?|video_?clips?|clips?", "mp4|avi|mov|mkv|webm|mpg|mpeg|m4v|flv|wmv",
              rb"....ftyp(?!avif|heic|heix|mif1)|\x1aE\xdf\xa3|RIFF....AVI "),
    "audio": ("an audio", "audios?|speech(?:es)?|sounds?|voices?|wavs?|waveforms?|recordings?|music|audio_?clips?",
              "wav|mp3|flac|ogg|m4a|aac|opus", rb"RIFF....WAVE|fLaC|OggS|ID3|\xff\xfb"),
    "document": ("a document", "pdfs?|docx?|pptx?", "pdf|docx?|pptx?|epub|djvu", rb"%PDF"),
    "model": ("a model in space", "point_?clouds?|mesh(?:es)?", "ply|obj|glb|gltf|stl|pcd|las", rb"ply\n|glTF"),
    "medium": ("a medium of a kind that is not told", "media|mediums?|multimedia|attachments?", "", b""),
}  # fmt: skip
"""What is not trained on."""
_SAY_ALL = ("video", "audio")
"""Columns called so hold one whatever stands there; the others may hold words about it, or code."""
_OTHER_MEDIA = LazyPattern(
    rf"(?:(?:{BEFORE})_)*(?:{'|'.join(f'(?P<{kind}>{names})' for kind, (_, names, *_) in MEDIA.items())})"
    rf"_?\d{{0,3}}(?:_(?:{MODIFIER}))*_?\d{{0,3}}"
)
_OTHER_BYTES = LazyPattern(
    b"|".join(b"(?P<%s>%s)" % (kind.encode(), magic) for kind, (*_, magic) in MEDIA.items() if magic), re.DOTALL
)
ENDS = {end: kind for kind, (_, _, ends, _) in MEDIA.items() for end in ends.split("|") if end}
_NOT_IN_PATHS = LazyPattern(r'[\s<>|*"]')


@functools.lru_cache(4096)
def other_kind(name: str) -> str | None:
    found = _OTHER_MEDIA.fullmatch(in_words(name))
    return found.lastgroup if found else None


def medium_in(name: str, kind: str | None, value: Any) -> str | None:
    """Return the kind of the medium that a value is, by the name of its column, its path or its bytes; None for none."""
    while isinstance(value, list | tuple) and value:
        value = next((part for part in value if not is_blank(part)), None)

    if isinstance(value, str):
        path = re.split("[?#]", value)[0] if value[:4] == "http" else value
        found = ENDS.get(path[-6:].rpartition(".")[2].strip().lower()) if len(value) <= 400 else None
        if found and not _NOT_IN_PATHS.search(value.strip()) and (kind or column_of(name) or not is_text_column(name)):
            return found
    elif isinstance(value, bytes | bytearray):
        if found := _OTHER_BYTES.match(value[:12]):
            return found.lastgroup
    elif isinstance(value, dict):
        if "array" in value and "sampling_rate" in value:  # of `datasets`
            return "audio"

        if value.keys() <= FEATURE or kind == "medium":
            told = value.get("type") or value.get("kind") or value.get("modality")
            inner = next((part for part in map(value.get, ("bytes", "path", *IN_OBJECT)) if not is_blank(part)), None)
            kind = (other_kind(told) if isinstance(told, str) else None) or kind
            if inner is not None and (found := medium_in(name, kind, inner)):
                return found

    if kind is None or kind in _SAY_ALL:
        return kind if kind in _SAY_ALL and not is_blank(value) else None

    is_words = isinstance(value, str) and (len(value.split()) > 1 or not re.search(r"[/.]", value))
    return (
        None
        if is_words or is_blank(value) or isinstance(value, int) or kind == "medium" and holds_picture(value)
        else kind
    )


def other_medium(kind: str, name: str, value: Any) -> RejectedRow:
    return RejectedRow(
        f"{MEDIA[kind][0]}, which is not trained on",
        f"{name} holds {shown(value)}; a row is trained on with its text and its pictures only. Take the column out if "
        "the question does not need it",
    )
