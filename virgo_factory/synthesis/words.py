"""What the stages of a synthesis hand on: scenes, questions, thoughts; what is asked of a role, and its replies. Pure.

Each is a line of a file (`row_of`), read back with its types checked (`of_row`): stage files may have been edited by hand.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic import with_config as _with_config

from virgo_factory.core.errors import UserError


T = TypeVar("T")
_exact = _with_config(ConfigDict(extra="forbid"))

LETTERS = "ABCD"


@_exact
@dataclass(frozen=True)
class SceneObject:
    """Something that stands in a picture.

    Attributes:
        tag: `NAME NUMBER`, numbered from left to right among those of a name: models and people refer to it so.
        name: what it is, such as "donut".
        box: x1, y1, x2, y2 in pixels of the picture as it is seen (turned by its orientation), x1 < x2 <= width.
        score: of the detector, 0 to 1; 1 for people's annotations.
        phrase: what its source says of it; "" for nothing.
        attributes: facts of it that the source states, such as {"color": "red"}.
    """

    tag: str
    name: str
    box: tuple[int, int, int, int]
    score: float = 1.0
    phrase: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@_exact
@dataclass(frozen=True)
class Scene:
    """A picture with captions and objects.

    Attributes:
        id: `SOURCE/NAME`, unique in the file.
        number: of the scene among those of its sources, from 0 on; letters of right options follow from it.
        image: path relative to `media_dir`.
        image_sha256: of the picture's bytes.
        width, height: in pixels, as it is seen.
        captions: at least one.
        objects: from left to right; may be none.
        origin: `FILE:LINE` or what else finds it in its source.
        uncounted: names of which not every object need have a box (some were left out, or its source marks some only):
            their boxes say nothing of their number.
    """

    id: str
    number: int
    image: str
    image_sha256: str
    width: int
    height: int
    captions: tuple[str, ...]
    objects: tuple[SceneObject, ...] = ()
    origin: str = ""
    uncounted: tuple[str, ...] = ()


@_exact
@dataclass(frozen=True)
class Question:
    """A question with four options about one scene.

    Attributes:
        id: of its content (`question_id`): the same wherever it is made again.
        scene: id of the scene.
        question: the text.
        options: four texts in the order in which they are shown.
        answer: letter of the right one, A to D.
        kind: what it asks for, as its writer calls it: place, number, recognition, cause, purpose, other.
        tags: of the objects that it is about.
        stage: 1 as written, 2 composed.
        inputs: ids of the questions that it was composed of.
        claim: what makes the right option right, as its writer states it in a fixed form; "" for nothing.
        difficulty: "" before the votes; "easy" where all solvers agreed with the answer, "hard" where they were split.
    """

    id: str
    scene: str
    question: str
    options: tuple[str, str, str, str]
    answer: Literal["A", "B", "C", "D"]
    kind: str = "other"
    tags: tuple[str, ...] = ()
    stage: int = 1
    inputs: tuple[str, ...] = ()
    difficulty: str = ""
    claim: str = ""

    @property
    def gold(self) -> str:
        """Text of the right option."""
        return self.options[LETTERS.index(self.answer)]


@_exact
@dataclass(frozen=True)
class Thought:
    """A thought about a question, with the answer behind it.

    Attributes:
        id: QUESTION/s3 for the short thought of the third sample of the thinker, QUESTION/s3/l1 for its second expansion.
        question: id.
        thought: what stands between the tags, letter by letter.
        answer: letter that it ends with; "" where none can be told.
        is_correct: whether that is the question's.
        short: id of the short thought that this one goes on with; "" for a short one itself.
        prefix_end: characters of `thought` that are the short thought's (what an X->O row is not trained on); 0 for a short one.
        cue_end: characters up to the end of the planted cue; 0 for a short one.
        cue: the planted words.
        model: that wrote what is new in it.
        tokens: that were written for it.
    """

    id: str
    question: str
    thought: str
    answer: str
    is_correct: bool
    short: str = ""
    prefix_end: int = 0
    cue_end: int = 0
    cue: str = ""
    model: str = ""
    tokens: int = 0


@dataclass(frozen=True)
class Ask:
    """What is sent to a role about something, `samples` times.

    Attributes:
        of: id of what it is about.
        text: of the user's turn, `<image>` in the place of the scene's picture where that is sent.
        mode: tells several that are sent about one thing, such as "sighted" and "blind", or "without 2".
        system: text of the system's turn.
        prefill: beginning of the response.
        image: path of the picture relative to `media_dir`; "" for none.
        image_sha256: of its bytes.
        about: what the making needs to know of it again, such as {"cue": "Wait,"}; stored with each reply.
    """

    of: str
    text: str
    mode: str = ""
    system: str = ""
    prefill: str = ""
    image: str = ""
    image_sha256: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def key(self, model: str, sample: int) -> str:
        """Return what a reply is found by: 32 digits of all that was sent, so that other words are another reply."""
        sent = [self.of, self.mode, self.text, self.system, self.prefill, self.image_sha256, model, sample]
        return hashlib.sha256(json.dumps(sent).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Reply:
    """One sampled response to an Ask; a line of a file of replies.

    Attributes:
        key: of Ask.key.
        of, mode, about: of the Ask.
        sample: from 0 on.
        model: as the configuration names it.
        response: its text; behind a prefill only what is new.
        finish_reason: "stop", "length" or "loop".
        prompt_tokens, completion_tokens: as the server counted them.
        seconds: that it took.
        seed: of the request.
        prompt_sha256: of the messages as sent, picture included.
        params: of sampling and server.
    """

    key: str
    of: str
    mode: str
    sample: int
    model: str
    response: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    seed: int
    prompt_sha256: str
    about: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dropped:
    """Something that a stage does not keep; yielded in its place, and counted by `reason` on the stage's card.

    Attributes:
        of: id of what it would have become, or of what it was made of.
        reason: one of few, such as "an unknown tag"; counted.
        detail: what was found, for people.
    """

    of: str
    reason: str
    detail: str = ""


def row_of(one: Any) -> str:
    """Return one of these as a line of its file."""
    return json.dumps(asdict(one), ensure_ascii=False, allow_nan=False) + "\n"


def of_row(kind: type[T], row: Any) -> T:
    """Return what a line holds.

    Raises:
        ValueError: a column is missing, unknown, or of another type.
    """
    try:
        return _adapter(kind).validate_python(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"no {kind.__name__.lower()}: {where or 'the line'}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        ) from None


@functools.cache
def _adapter(kind: type) -> TypeAdapter:
    return TypeAdapter(kind)


def question_id(scene: str, question: str, options: tuple[str, ...], gold: str) -> str:
    """Return the id of a question: of its scene and content, whatever the order of the options.

    >>> question_id("coco/1", "How many?", ("one", "two"), "two") == question_id(
    ...     "coco/1", "How many?", ("two", "one"), "two"
    ... )
    True
    """
    content = json.dumps([scene, question, sorted(options), gold])
    return f"{scene}/{hashlib.sha256(content.encode()).hexdigest()[:16]}"
