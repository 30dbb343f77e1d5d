"""Small files of every layout, and pictures for them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from virgo_factory.synthesis.scenes.read import is_of_object, read_scenes
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped, Scene


class Bench:
    """A folder with pictures, files beside them, and what is read of these."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def picture(self, name: str, size: tuple[int, int] = (100, 80), **save) -> str:
        """Write a picture, each with another colour."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (len(name) * 7 % 255, sum(map(ord, name)) % 255, 90)).save(path, **save)
        return name

    def json(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def lines(self, name: str, rows: list[object]) -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def read(self, *sources: SceneSource, **options) -> tuple[list[Scene], list[Dropped], list[Dropped]]:
        """Return the scenes, what is dropped of them, and the dropped objects."""
        found = list(read_scenes(sources, self.folder, **options))
        dropped = [one for one in found if isinstance(one, Dropped)]
        scenes = [one for one in found if isinstance(one, Scene)]
        return scenes, [one for one in dropped if not is_of_object(one)], [one for one in dropped if is_of_object(one)]

    def rows(
        self, *rows: object, box_format: str = "xyxy", **options
    ) -> tuple[list[Scene], list[Dropped], list[Dropped]]:
        """Return what is read of rows of our own form."""
        return self.read(
            SceneSource("rows", file=self.lines("rows.jsonl", list(rows)), box_format=box_format), **options
        )

    def row(self, **columns: object) -> dict:
        """Return a good row, with other columns."""
        good = {"id": "one", "image": self.picture("a.png"), "captions": ["A cup."], "objects": [cup(10, 10, 30, 40)]}
        return good | columns


def cup(*box: float, name: str = "cup", **more: object) -> dict:
    return {"name": name, "box": list(box), **more}


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def boxed() -> Callable[..., Scene]:
    """A function that makes a scene of (name, box) and of attributes."""
    from virgo_factory.synthesis.scenes.read import tagged
    from virgo_factory.synthesis.words import SceneObject

    def make(*objects: tuple, uncounted: tuple[str, ...] = ()) -> Scene:
        found = [SceneObject("", name, box, attributes=dict(*rest)) for name, box, *rest in objects]
        return Scene("s/1", 0, "a.png", "", 640, 480, ("A picture.",), tagged(found), uncounted=uncounted)

    return make
