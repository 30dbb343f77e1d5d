"""A synthesis as a page to look at: the account of its stages, and drawn scenes with all that was made and dropped of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from virgo_factory.data.make.sampling import some_of
from virgo_factory.data.read.look import as_seen, scaled
from virgo_factory.data.read.media import BadMedia, resolve_image
from virgo_factory.report.page import Article, Picture, Section, Text, write_page
from virgo_factory.report.plots import bars, draw
from virgo_factory.report.table import facts
from virgo_factory.rollouts.store.jsonl import lines_of
from virgo_factory.synthesis.run import folder as files
from virgo_factory.synthesis.run.folder import card_of, is_edited
from virgo_factory.synthesis.run.steps import NO_REPLY
from virgo_factory.synthesis.tell.status import Status, summarise, tables_of
from virgo_factory.synthesis.tell.status import lines_of as told_of
from virgo_factory.synthesis.words import LETTERS, Dropped, Question, Scene, Thought, of_row


T = TypeVar("T")


def write_status_page(path: Path, folder: Path, scenes: int = 20, seed: int = 0) -> int:
    """Write the page of a synthesis' folder and return how many scenes it shows.

    Args:
        path: of the page.
        folder: of the synthesis.
        scenes: how many are drawn.
        seed: of that draw.

    Raises:
        ValueError: it is no such folder, or a line of it is broken.
    """
    found = summarise(folder)
    chosen = _drawn(folder, scenes, seed)
    shown = _Shown(folder, {scene.id for scene in chosen})
    settings = [("state", told_of(found)[0]), ("folder", str(folder))]
    settings.append(("pictures", str(found.config.media_dir)))
    settings += [(name, found.config.role(name).model_name_or_path) for name in found.config.roles]
    head = [Section("", [facts(settings), *tables_of(found), *_plots(found), *_LEGEND])]
    articles = (_article(scene, shown, found.config.media_dir) for scene in chosen)
    return write_page(path, f"Synthesis {found.config.dataset}", articles, head)


_LEGEND = (
    Text("told to a role", "prompt"),
    Text("kept, right", "trained"),
    Text("wrong", "rejected"),
    Text("dropped, or planted", "context"),
)


def _drawn(folder: Path, count: int, seed: int) -> list[Scene]:
    """Return scenes drawn from the file, in its order."""
    path = folder / f"{files.SCENES}.jsonl"
    rows = lines_of(path) if path.is_file() else ()
    return [of_row(Scene, row) for _, row in some_of(rows, count, seed)]


class _Shown:
    """What a folder has of some scenes.

    Args:
        folder: of the synthesis.
        scenes: their ids.
    """

    def __init__(self, folder: Path, scenes: set[str]) -> None:
        self._folder, self._scenes = folder, scenes
        written = self._of(files.QUESTIONS, Question, lambda one: one.scene)
        composed = self._of(files.CANDIDATES, Question, lambda one: one.scene)
        self.questions = {scene: [*written[scene], *composed[scene]] for scene in scenes}
        kept = [
            *self._of(files.VALIDATED, Question, lambda one: "")[""],
            *self._of(files.COMPOSED, Question, lambda one: "")[""],
        ]
        self.kept = {one.id: one for one in kept}
        thoughts = (
            self._of(files.SHORT, Thought, lambda one: one.question),
            self._of(files.FILTERED, Thought, lambda one: one.question),
        )
        self.shorts, self.longs = thoughts
        self.dropped: dict[str, list[Dropped]] = defaultdict(list)
        for name in (files.QUESTIONS, files.VALIDATED, files.CANDIDATES, files.COMPOSED):
            for one in self._rows(f"{name}.dropped", Dropped):
                self.dropped[one.of].append(one)
                self.dropped[f"{self._scene(one.of)} {name}"].append(one)

        for name in (files.SHORT, files.FILTERED):
            for one in self._rows(f"{name}.dropped", Dropped):
                self.dropped[f"{one.of.rpartition('/')[0]} {name}"].append(one)

    def kept_of(self, scene: str) -> Iterator[tuple[str, str]]:
        """Yield how many questions of a scene are kept of all that were written, and of all that were composed."""
        for stage, what, name in ((1, "written", files.QUESTIONS), (2, "composed", files.CANDIDATES)):
            judged = [one.id for one in self.questions[scene] if one.stage == stage]
            before = sum(one.reason != NO_REPLY for one in self.dropped[f"{scene} {name}"])
            yield what, f"{sum(one in self.kept for one in judged)} of {len(judged) + before}"

    def _of(self, name: str, kind: type[T], by: Any) -> Mapping[str, list[T]]:
        found: dict[str, list[T]] = defaultdict(list)
        for one in self._rows(name, kind):
            found[by(one)].append(one)

        return found

    def _rows(self, name: str, kind: type[T]) -> Iterator[T]:
        path = self._folder / f"{name}.jsonl"
        for _, row in lines_of(path) if path.is_file() else ():
            if self._scene(str(row.get("id", row.get("of", "")))):
                yield of_row(kind, row)

    def _scene(self, id: str) -> str:
        """Return the scene that an id is of; "" for one that is not shown. Ids of what is made of a scene begin with its own."""
        while id and id not in self._scenes:
            id = id.rpartition("/")[0]

        return id


def _article(scene: Scene, shown: _Shown, media_dir: Path) -> Article:
    told = "\n".join([*scene.captions, *(f"{one.tag} {list(one.box)} {one.phrase}".rstrip() for one in scene.objects)])
    sections = [Section("Scene", [_picture(scene, media_dir), Text(told, "prompt")])]
    for question in shown.questions[scene.id]:
        sections += _question(question, shown)

    for name in (files.QUESTIONS, files.CANDIDATES):
        for one in shown.dropped[f"{scene.id} {name}"]:
            content = [Text(one.detail or one.of, "context")]
            sections.append(Section(f"Dropped: {one.reason}", content, folded=True, note=name))

    labels = sorted({one.kind for one in shown.questions[scene.id]})
    numbers = [(f"{what} questions kept", told) for what, told in shown.kept_of(scene.id)]
    return Article(scene.id, "scene", sections, [*numbers, ("origin", scene.origin)], labels)


def _picture(scene: Scene, media_dir: Path) -> Picture:
    """Return the picture with its boxes."""
    from PIL import Image, ImageDraw

    try:
        with Image.open(resolve_image(scene.image, str(media_dir))) as opened:
            image = as_seen(opened)
    except (BadMedia, OSError, ValueError, Image.DecompressionBombError) as error:
        return Picture(b"", f"{scene.image}: {error}")

    pen = ImageDraw.Draw(image)
    for one in scene.objects:
        pen.rectangle(one.box, outline=(220, 30, 30), width=max(1, image.width // 300))
        place = one.box[0] + 2, one.box[1] + 2
        pen.rectangle(pen.textbbox(place, one.tag), fill=(255, 255, 255))
        pen.text(place, one.tag, fill=(220, 30, 30))

    return Picture(scaled(image), f"{scene.image}, {scene.width}x{scene.height}")


def _question(question: Question, shown: _Shown) -> Iterator[Section]:
    options = "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, question.options, strict=True))
    kept = shown.kept.get(question.id)
    reasons = [f"dropped: {one.reason}" for one in shown.dropped.get(question.id, ())]
    notes = [question.kind, f"answer {question.answer}", kept.difficulty if kept else "", question.claim, *reasons]
    title = "Composed question" if question.stage == 2 else "Question"
    text = Text(f"{question.question}\n{options}", "prompt" if kept else "context")
    yield Section(title, [text], note=" · ".join(filter(None, notes)), apart=True)
    longs: Mapping[str, list[Thought]] = defaultdict(list)
    for one in shown.longs[question.id]:
        longs[one.short].append(one)

    for short in shown.shorts[question.id]:
        yield Section(f"Thought: {_verdict(short)}", [_thought(short)], folded=True, note=short.id)
        for long in longs[short.id]:
            content = [
                Text(long.thought[: long.prefix_end], "prompt"),
                Text(long.thought[long.prefix_end : long.cue_end], "context"),
                Text(long.thought[long.cue_end :], _colour(long)),
            ]
            yield Section(f"Expansion: {_verdict(short)} -> {_verdict(long)}", content, folded=True, note=long.id)

        for one in shown.dropped[f"{short.id} {files.FILTERED}"]:
            yield Section(f"Expansion dropped: {one.reason}", [Text(one.detail, "context")], folded=True, note=one.of)

    for one in shown.dropped[f"{question.id} {files.SHORT}"]:
        yield Section(f"Thought dropped: {one.reason}", [Text(one.detail, "context")], folded=True, note=one.of)


def _verdict(thought: Thought) -> str:
    return f"{'right' if thought.is_correct else 'wrong'} ({thought.answer or 'no option'})"


def _colour(thought: Thought) -> str:
    return "trained" if thought.is_correct else "rejected"


def _thought(thought: Thought) -> Text:
    return Text(thought.thought, _colour(thought))


def _plots(found: Status) -> Sequence[Picture]:
    """Return the sets of the rows."""
    pictures = []
    for name in (files.SFT, files.DPO):
        card = card_of(found.folder, name)
        if card and card.get("sets"):
            since = ", as they were made: it was edited since" * is_edited(found.folder, name)
            pictures.append(Picture(draw(bars, card["sets"], "", "rows", page=True), f"Rows of {name}.jsonl{since}"))

    return pictures
