"""Files of pictures with captions and boxes -> scenes, and of each thing that is left out the reason.

Whatever the layout, a scene has a picture that can be decoded and lies below `media_dir`, at least one caption, and boxes in
whole pixels of the picture as it is seen; no text in it can be taken for a control token. One scene is in memory at a time.
"""

import hashlib
import io
import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.core.reasons import Reason
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.look import orientation
from virgo_factory.data.read.media import BadMedia, find_image
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.question import FORGED
from virgo_factory.synthesis.scenes.boxes import Frame, box_of, frame_of
from virgo_factory.synthesis.scenes.facts import area
from virgo_factory.synthesis.scenes.found import FoundObject, FoundScene
from virgo_factory.synthesis.scenes.layouts import clevr, coco, dci, docci, florence2, grit, rows, visual_genome
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Dropped, Scene, SceneObject


logger = logging.getLogger(__name__)

NO_CAPTION = "no caption"
TWICE = "an earlier scene has its id"
OTHER_PICTURE = "another picture than its row says"
IN_ROW = "the picture is in the row itself"
NO_PICTURE = "no picture"
NO_NAME = "an object has no name"
NO_SCORE = "an object's score is no number from 0 to 1"
UNSURE = "an object's score is below min_score"
TOO_MANY = "an object beyond max_objects"
FORGED_OBJECT = "an object's text holds a control token"

LAYOUTS: dict[str, Callable[[SceneSource], Iterator[FoundScene | Dropped]]] = {
    "rows": rows.found_scenes,
    "coco": coco.found_scenes,
    "visual_genome": visual_genome.found_scenes,
    "docci": docci.found_scenes,
    "dci": dci.found_scenes,
    "grit": grit.found_scenes,
    "florence2": florence2.found_scenes,
    "clevr": clevr.found_scenes,
}
"""Reader -> what it finds."""

_SPACE = re.compile(r"\s+")
_ARTICLE = re.compile("^(?:an?|the) ")
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_of_object(dropped: Dropped) -> bool:
    """Whether an object was left out of a scene that is kept; a card counts these apart from scenes."""
    return dropped.reason.startswith("an object")


def read_scenes(
    sources: Sequence[SceneSource], media_dir: Path, max_objects: int = 40, min_score: float = 0.0
) -> Iterator[Scene | Dropped]:
    """Yield the scenes of all sources in order; each picture that a file names is a Scene or a Dropped.

    Objects that are left out of a scene follow it as Dropped (`is_of_object`).

    Args:
        sources: at least one.
        media_dir: pictures are below it; nothing else is opened.
        max_objects: of one scene; those of the highest scores are kept, the larger ones of equal scores.
        min_score: objects of a lower one are left out.

    Raises:
        ValueError: a file of a source is not there or not to be read, at once or where it breaks off.
    """
    if not Path(media_dir).is_dir():
        raise UserError(f"media_dir {media_dir}: no such folder. Name the folder that holds the pictures.")

    for source in sources:
        for key, path in source.paths():
            if not path.exists():
                raise UserError(f"{source.reader}: {key}: no file {path}. Correct the path, or fetch the file.")

    return _scenes(sources, Path(media_dir), max_objects, min_score)


def _scenes(
    sources: Sequence[SceneSource], media_dir: Path, max_objects: int, min_score: float
) -> Iterator[Scene | Dropped]:
    number, ids = 0, set()
    for source in sources:
        scaled = 0
        try:
            for found in LAYOUTS[source.reader](source):
                if isinstance(found, Dropped):
                    yield found
                    number += 1
                    continue

                id = _id(source, found.name)
                try:
                    if (digest := hashlib.blake2b(id.encode("utf-8", "replace"), digest_size=12).digest()) in ids:
                        raise RejectedRow(TWICE)

                    ids.add(digest)
                    scene, dropped, frame = _scene(id, number, found, source, media_dir, max_objects, min_score)
                except RejectedRow as error:
                    detail = f"{found.origin}: {error.detail}" if error.detail else found.origin
                    yield Dropped(id, error.reason, detail)
                else:
                    scaled += frame.is_scaled and bool(scene.objects)
                    yield scene
                    yield from dropped

                number += 1
        finally:  # told of a source that is not read to its end, too
            if scaled:
                told = (
                    "the boxes of %s scene%s were made on a picture of another size, and are scaled to the stored one."
                )
                logger.warning(f"%s: {told}", source.prefix, f"{scaled:,}", "" if scaled == 1 else "s")


def _id(source: SceneSource, name: str) -> str:
    name = _SPACE.sub(" ", name).strip()
    is_whole = source.reader == "rows" and not source.name and "/" in name.strip("/")
    return name if is_whole else f"{source.prefix}/{name}"


def _scene(
    id: str, number: int, found: FoundScene, source: SceneSource, media_dir: Path, max_objects: int, min_score: float
) -> tuple[Scene, list[Dropped], Frame]:
    """Return a scene, the objects that are left out of it, and how its boxes lie.

    Raises:
        RejectedRow: there is no scene.
    """
    _check(id, "id")
    captions = tuple(dict.fromkeys(filter(None, (_plain(text) for text in found.captions))))
    if not captions:
        raise RejectedRow(NO_CAPTION)

    for caption in captions:
        _check(caption, "caption")

    picture = look_at(found.image, source.pictures, media_dir)
    if found.image_sha256 and found.image_sha256 != picture.sha256:
        raise RejectedRow(
            OTHER_PICTURE, f"{picture.path}: sha256 {picture.sha256[:12]}, not {found.image_sha256[:12]}"
        )

    frame = frame_of(found.size, (picture.width, picture.height), picture.turn)
    kept: list[SceneObject] = []
    dropped: list[Dropped] = []
    uncounted = {_name(name) for name in found.uncounted}
    for one in found.objects(frame.seen) if callable(found.objects) else found.objects:
        try:
            kept.append(_object(one, found.box_format, frame, min_score))
        except RejectedRow as error:
            dropped.append(Dropped(f"{id}: {_plain(one.name)[:60]}", error.reason, error.detail))
            uncounted.add(_name(one.name))

    if len(kept) > max_objects:
        ranked = sorted(range(len(kept)), key=lambda at: (-kept[at].score, -area(kept[at]), at))
        for at in sorted(ranked[max_objects:]):
            uncounted.add(kept[at].name)
            dropped.append(Dropped(f"{id}: {kept[at].name}", TOO_MANY, f"{len(kept)} objects"))

        kept = [kept[at] for at in sorted(ranked[:max_objects])]

    names = {one.name for one in kept}
    scene = Scene(
        id=id,
        number=number,
        image=picture.path,
        image_sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        captions=captions,
        objects=tagged(kept),
        origin=found.origin,
        uncounted=tuple(sorted(names & uncounted if found.has_all else names)),
    )
    return scene, dropped, frame


def tagged(objects: Sequence[SceneObject]) -> tuple[SceneObject, ...]:
    """Return objects from left to right by the middles of their boxes, each with its tag.

    >>> one, other = SceneObject("", "cup", (50, 0, 60, 9)), SceneObject("", "cup", (10, 0, 20, 9))
    >>> [(object.tag, object.box[0]) for object in tagged([one, other])]
    [('cup 1', 10), ('cup 2', 50)]
    """
    ordered = sorted(objects, key=lambda one: (one.box[0] + one.box[2], one.box[1] + one.box[3], one.box, one.name))
    counted: dict[str, int] = defaultdict(int)
    found = []
    for one in ordered:
        counted[one.name] += 1
        tag = f"{one.name} {counted[one.name]}"
        found.append(SceneObject(tag, one.name, one.box, one.score, one.phrase, one.attributes))

    return tuple(found)


def _object(one: FoundObject, box_format: str, frame: Frame, min_score: float) -> SceneObject:
    """Return an object without its tag. Raises RejectedRow."""
    if one.left_out:
        raise RejectedRow(one.left_out)

    name = _name(one.name)
    if not name:
        raise RejectedRow(NO_NAME, str(one.name)[:60])

    phrase = _plain(one.phrase)
    attributes = {_plain(key): _plain(value) for key, value in one.attributes.items() if _plain(value)}
    for text in (name, phrase, *attributes, *attributes.values()):
        if found := FORGED.search(text):
            raise RejectedRow(FORGED_OBJECT, found.group())

        if _SURROGATE.search(text):
            raise RejectedRow(FORGED_OBJECT, "half a character")

    score = one.score
    if type(score) not in (int, float) or not 0 <= score <= 1:  # which NaN is not, either
        raise RejectedRow(NO_SCORE, str(score)[:60])

    if score < min_score:
        raise RejectedRow(UNSURE, f"{score:g}")

    return SceneObject("", name, box_of(one.box, box_format, frame), float(score), phrase, attributes)


def _name(text: Any) -> str:
    """Return the name of an object as scenes have it: in small letters, without an article or a full stop.

    >>> _name("A  Dog."), _name("the 2 mugs")
    ('dog', '2 mugs')
    """
    return _ARTICLE.sub("", _plain(text).lower().rstrip(" .,;:")).strip()


def _plain(text: Any) -> str:
    """Return a text on one line; "" for anything else."""
    return _SPACE.sub(" ", text).strip() if isinstance(text, str) else ""


def _check(text: str, name: str) -> None:
    if _SURROGATE.search(text):
        raise RejectedRow("text is not valid Unicode", f"in the {name}")

    if found := FORGED.search(text):
        raise RejectedRow(Reason.CONTROL_TOKEN.text(name), found.group())


@dataclass(frozen=True)
class SeenPicture:
    """A picture that was decoded once.

    Attributes:
        path: relative to media_dir where it is below, else absolute (below a folder that the user named).
        sha256: of its bytes.
        width, height: in pixels, as it is seen.
        turn: EXIF orientation, 1 for none.
    """

    path: str
    sha256: str
    width: int
    height: int
    turn: int = 1


def look_at(image: Any, pictures: str, media_dir: Path) -> SeenPicture:
    """Return a picture that a file names.

    Args:
        image: its path.
        pictures: folder below media_dir that relative paths start from.
        media_dir: nothing outside is opened.

    Raises:
        RejectedRow: none, missing, outside, or not to be decoded.
    """
    if image is None or image == "":
        raise RejectedRow(NO_PICTURE)

    if isinstance(image, str) and pictures and not os.path.isabs(image):
        image = os.path.join(pictures, image)

    try:
        found = find_image(image, str(media_dir))
    except BadMedia as error:
        raise RejectedRow(error.reason, str(error)[:300]) from None

    if isinstance(found, bytes):
        raise RejectedRow(IN_ROW, "write it to a file below media_dir and give its path")

    try:
        content = Path(found).read_bytes()
    except OSError as error:
        raise RejectedRow("image missing", f"{found}: {error.strerror}") from None

    facts = inspect(content, media_dir)
    if not facts.is_readable:
        finding = next(finding for finding in facts.findings if finding.severity == "error")
        raise RejectedRow(finding.code.replace("_", " "), f"{found}: {finding.detail}"[:300])

    turn = 1
    if any(finding.code == "image_turned" for finding in facts.findings):
        with Image.open(io.BytesIO(content)) as opened:
            turn = orientation(opened)

    base = Path(media_dir).absolute()
    path = str(Path(found).relative_to(base)) if Path(found).is_relative_to(base) else found
    return SeenPicture(path, hashlib.sha256(content).hexdigest(), facts.width, facts.height, turn)
