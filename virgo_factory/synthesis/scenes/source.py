"""Where scenes are read from: a reader and its files, as a configuration names them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict
from pydantic import with_config as _with_config

from virgo_factory.core.errors import UserError


FORMATS = ("xyxy", "xywh", "unit", "thousand", "percent")
"""How four numbers tell a box: two corners in pixels; corner, width and height in pixels; two corners in shares of the
picture, in thousandths (Qwen-VL), in percent."""

NEEDS: dict[str, tuple[str, ...]] = {
    "rows": ("file",),
    "coco": ("captions", "boxes"),
    "visual_genome": ("regions", "objects", "images"),
    "docci": ("captions", "boxes"),
    "dci": ("file",),
    "grit": ("file",),
    "florence2": ("file",),
    "clevr": ("file",),
}
"""Reader -> the keys that it needs; each is a file or a folder of files."""

_FILES = tuple(dict.fromkeys(key for keys in NEEDS.values() for key in keys))


@_with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class SceneSource:
    """Files of one layout; an item of the list `scenes` of a configuration.

    Attributes:
        reader: of which layout they are.
        file: of the readers that need one: a file of rows (JSON, JSONL, CSV, Parquet), or a folder of JSON files.
        captions, boxes: of coco (captions and instances) and docci (rows with captions; folder of Grounded-SAM files).
        regions, objects, images: region_descriptions.json, objects.json and image_data.json of Visual Genome.
        pictures: folder of the pictures below `media_dir`, where paths in the files do not begin with it.
        name: what the ids of its scenes begin with; the reader's where it is empty.
        box_format: of `rows`: one of FORMATS. Without it, it is guessed from the first rows, and told.

    Raises:
        ValueError: a key is missing, or is none of the reader's.
    """

    reader: Literal["rows", "coco", "visual_genome", "docci", "dci", "grit", "florence2", "clevr"]
    file: Path | None = None
    captions: Path | None = None
    boxes: Path | None = None
    regions: Path | None = None
    objects: Path | None = None
    images: Path | None = None
    pictures: str = ""
    name: str = ""
    box_format: Literal["", "xyxy", "xywh", "unit", "thousand", "percent"] = ""

    def __post_init__(self) -> None:
        needs = NEEDS.get(self.reader)
        if needs is None:
            raise UserError(f"reader {self.reader!r} is not known. One of: {', '.join(NEEDS)}.")

        given = [key for key in _FILES if getattr(self, key) is not None]
        if missing := [key for key in needs if key not in given]:
            raise UserError(f"reader {self.reader} needs {', '.join(needs)}; {', '.join(missing)} is missing.")

        if unknown := [key for key in given if key not in needs]:
            raise UserError(f"reader {self.reader} has no {', '.join(unknown)}; its files: {', '.join(needs)}.")

        if self.box_format and self.reader != "rows":
            raise UserError(f"reader {self.reader} has a box format of its own; box_format is for `reader: rows`.")

        if self.box_format not in ("", *FORMATS):
            raise UserError(f"box_format {self.box_format!r} is not known. One of: {', '.join(FORMATS)}.")

        if "/" in self.name:
            raise UserError(f"name {self.name!r} of a source: ids are NAME/PICTURE, so it has no slash.")

    @property
    def prefix(self) -> str:
        """What ids of its scenes begin with, before the slash."""
        return self.name or self.reader

    def paths(self) -> list[tuple[str, Path]]:
        """Return (key, path) of its files."""
        return [
            (field.name, path)
            for field in fields(self)
            if field.name in _FILES and (path := getattr(self, field.name))
        ]
