"""The demo of synthesis: drawn scenes -> rows by a server that plays every role -> SFT and DPO -> the trained model thinks.

Every step is a command that can be entered by hand; all of it lies in one folder.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from virgo_factory.demo import scenes
from virgo_factory.demo.proofs import Proof
from virgo_factory.demo.run import MARKER, Step, check_folder, losses, script
from virgo_factory.demo.synthesis.server import Running
from virgo_factory.demo.synthesis.writer import CLAIMS, STRUCTURAL
from virgo_factory.io.files import DATASET_INFO, RECIPES
from virgo_factory.synthesis.run.folder import DPO, QUESTIONS, SFT, SHORT, THINKING, card_of
from virgo_factory.synthesis.tell.status import summarise


FOLDER = Path("saves/synthesis")
"""Where the recipes themselves put everything."""

DRAWN, THOUGHT_OF = 16, 4
"""Scenes that rows are made of, and further ones that the trained model thinks about."""

DATASET = "virgo_demo_lgt_sft"
_CONFIG = "synthesize/demo.yaml"
_TWIN = {"seed": 2611, "vocabulary": 640}


@dataclass(frozen=True)
class Loop:
    """The files of one demo.

    Attributes:
        folder: holds everything.
        recipes: the folder of recipes that are run.
        as_they_are: whether the recipes fit without overrides of paths.
    """

    folder: Path
    recipes: Path
    as_they_are: bool

    @property
    def pictures(self) -> Path:
        """The scenes, and their pictures."""
        return self.folder / "pictures"

    @property
    def start(self) -> Path:
        """The tiny random model that SFT starts from."""
        return self.folder / "start"

    @property
    def rows(self) -> Path:
        """The synthesis."""
        return self.folder / "rows"

    @property
    def again(self) -> Path:
        """The synthesis whose thinker is the trained model."""
        return self.folder / "again"

    def output(self, name: str) -> Path:
        """Return the folder of a model, `sft` or `dpo`."""
        return self.folder / name

    def synthesis(self, url: str) -> Step:
        """Return how the rows are made."""
        return self._synthesis(self.rows, [f"urls=[{url}]"], DRAWN)

    def thinking(self, url: str) -> Step:
        """Return how the trained model, served by vLLM, thinks about scenes that it was not trained on."""
        thinker = (
            f"{{model_name_or_path: {self.output('dpo')}, urls: [], max_model_len: 1024, max_tokens: 160, samples: 2}}"
        )
        overrides = [f"urls=[{url}]", f"thinker={thinker}", "compositions=0", "dataset=virgo_demo_lgt_again"]
        return self._synthesis(self.again, [*overrides, f"dataset_dir={self.folder}"], THOUGHT_OF)

    def _synthesis(self, output: Path, overrides: Sequence[str], count: int) -> Step:
        first = output == self.rows
        keys = []
        if not (self.as_they_are and first):
            file = self.pictures / (scenes.FILE if first else f"again/{scenes.FILE}")
            keys = [f"scenes=[{{reader: rows, file: {file}, box_format: xyxy}}]", f"media_dir={file.parent}"]
            keys.append(f"output_dir={output}")
            if first:
                keys.append(f"dataset_dir={self.folder}")

        command = (script("virgo-factory"), "synthesize", "run", str(self.recipes / _CONFIG), *keys, *overrides)
        return Step(command, self.folder / f"{output.name}.log", output)

    def training(self, name: str) -> Step:
        """Return how a model is trained: `sft` from the random one, `dpo` from that."""
        overrides = []
        if not self.as_they_are:
            before = self.start if name == "sft" else self.output("sft")
            overrides = [f"model_name_or_path={before}", f"dataset_dir={self.folder}", f"media_dir={self.pictures}"]
            overrides.append(f"output_dir={self.output(name)}")

        command = (script("llamafactory-cli"), "train", str(self.recipes / f"virgo_demo_lgt_{name}.yaml"), *overrides)
        return Step(command, self.folder / f"{name}.log", self.output(name))


def plan(folder: Path = FOLDER) -> Loop:
    """Return the demo of a folder, as it would run from the current directory. Writes nothing.

    Raises:
        ValueError: the folder holds something that no demo made.
    """
    check_folder(folder)
    own = Path("recipes", _CONFIG).is_file() and _knows_dataset()
    return Loop(folder, Path("recipes") if own else RECIPES, own and folder == FOLDER)


def _knows_dataset() -> bool:
    """Whether a dataset_info.json of the current directory names the demo's rows."""
    try:
        info = json.loads(Path(DATASET_INFO.name).read_text(encoding="utf-8"))
        return info[DATASET]["file_name"] == str(FOLDER / "rows" / f"{SFT}.jsonl")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def prepare(loop: Loop) -> None:
    """Draw the scenes, and remove what an earlier demo left behind."""
    loop.folder.mkdir(parents=True, exist_ok=True)
    (loop.folder / MARKER).write_text('{"safe_to_replace": ["all of it"]}\n', encoding="utf-8")
    for made in (loop.pictures, loop.start, loop.rows, loop.again, loop.output("sft"), loop.output("dpo")):
        shutil.rmtree(made, ignore_errors=True)

    (loop.folder / DATASET_INFO.name).unlink(missing_ok=True)
    scenes.write_scenes(loop.pictures, DRAWN)
    scenes.write_scenes(loop.pictures / "again", THOUGHT_OF, first=DRAWN)


def make_start(loop: Loop) -> None:
    """Make the tiny random model, whose tokenizer is trained on the rows that it will learn from."""
    from virgo_factory.preflight.twin.twin import make_twin

    with (loop.rows / f"{SFT}.jsonl").open(encoding="utf-8") as file:
        texts = [" ".join((row["question"], row["thought"], row["solution"])) for row in map(json.loads, file)]

    make_twin(loop.start, texts=texts, **_TWIN)


def prove(loop: Loop, server: Running) -> Iterator[Proof]:
    """Yield what the files of the demo, and the labels of the server that made the faults, say."""
    yield _accounts(loop)
    yield from _faults(loop, server)
    yield _masks(loop)
    for name in ("sft", "dpo"):
        found = [loss for _, _, loss in losses(loop.training(name))]
        quarter = max(1, len(found) // 4)
        first, last = fmean(found[:quarter]), fmean(found[-quarter:])
        yield Proof(
            f"{name.upper()} learned",
            last < first,
            f"mean loss {first:.2f} in the first quarter, {last:.2f} in the last",
        )

    yield _thinking(loop)


def has_thought(loop: Loop) -> bool:
    """Return whether what the trained model said was made into a file, whatever came of it."""
    return card_of(loop.again, SHORT) is not None


def _thinking(loop: Loop) -> Proof:
    """Return whether vLLM went on behind each beginning, and what came of it: a model this small may not close its thoughts."""
    card, model = card_of(loop.again, SHORT), str(loop.output("dpo"))
    with (loop.again / f"{THINKING}.jsonl").open(encoding="utf-8") as file:
        replies = [row for row in map(json.loads, file) if row["model"] == model and row["params"]["vllm"]]

    dropped = f"; {_told(card['dropped'])}" if card["dropped"] else ""
    told = f"{len(replies)} of {card['in']} thoughts by the trained model, {card['kept']} of them read{dropped}"
    return Proof("vLLM goes on behind <think>", len(replies) == card["in"] > 0, told)


def _accounts(loop: Loop) -> Proof:
    found = [stage for stage in summarise(loop.rows).stages if stage.taken is not None]
    holds = all(stage.taken == stage.rows + sum(stage.dropped.values()) for stage in found)
    kept = ", ".join(f"{stage.rows:,} {stage.name[3:]}" for stage in found)
    return Proof("in = kept + dropped", holds, f"in every stage; kept: {kept}")


def _faults(loop: Loop, server: Running) -> Iterator[Proof]:
    """Yield how many faults that the writer is known to have made were found: each is labelled with the question's text."""
    kept = set()
    with (loop.rows / f"{QUESTIONS}.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            kept.add((row["scene"], row["question"], tuple(sorted(row["options"]))))

    labels = [label for label in server.labels() if label["role"] == "writer" and label["fault"]]
    for name, faults in (("faults of form are found", STRUCTURAL), ("wrong counts and places", CLAIMS)):
        made = [label for label in labels if label["fault"] in faults]
        left = [
            one for one in made if (one["about"], one.get("question"), tuple(sorted(one.get("options", ())))) in kept
        ]
        share = 1 - len(left) / max(len(made), 1)
        least = 1.0 if faults is STRUCTURAL else 0.9
        yield Proof(
            name, bool(made) and share >= least, f"{len(made) - len(left)} of {len(made)} that the writer made"
        )


def _masks(loop: Loop) -> Proof:
    """Return whether each row whose beginning is wrong has that beginning as context."""
    wrong = set()
    with (loop.rows / f"{SHORT}.jsonl").open(encoding="utf-8") as file:
        wrong |= {row["id"] for row in map(json.loads, file) if not row["is_correct"]}

    rows = []
    for name in (SFT, DPO):
        with (loop.rows / f"{name}.jsonl").open(encoding="utf-8") as file:
            rows += [row for row in map(json.loads, file) if row["id"].split(" > ")[0].rpartition("/")[0] in wrong]

    masked = sum(bool(row["assistant_prefix"]) for row in rows)
    return Proof(
        "wrong thoughts are not learned",
        masked == len(rows) > 0,
        f"{masked} of {len(rows)} rows have theirs as context",
    )


def _told(dropped: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in dropped.items())
