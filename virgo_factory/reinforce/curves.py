"""The curves of a training by rewards as one picture, in its folder as LLaMA-Factory's `plot_loss` leaves its own."""

from collections.abc import Sequence
from pathlib import Path

from virgo_factory.io.atomic import replace_file
from virgo_factory.reinforce.steps import Step, read_steps
from virgo_factory.report.plots import curves, draw, sheet


FILE = "training_curves.png"
PANELS = (
    ("Reward", ("reward", "accuracy", "format"), "mean"),
    ("Without gradient, or cut off", ("no gradient", "truncated", "unverifiable"), "share"),
    ("Length", ("tokens",), "tokens of a response"),
    ("Policy", ("entropy", "clipped", "KL", "gap"), ""),
)
"""Title, what of SERIES is drawn, and what is measured."""


def write(folder: Path | str) -> Path:
    """Write the curves of a training by rewards into its folder, and return the file."""
    folder = Path(folder)
    path = folder / FILE
    replace_file(path, picture(read_steps(folder)))
    return path


def picture(steps: Sequence[Step], page: bool = False) -> bytes:
    """Return the curves as PNG."""
    panels = []
    for title, names, y in PANELS:
        lines = {name: [(step["step"], step[name]) for step in steps if name in step] for name in names}
        lines = {name: points for name, points in lines.items() if points}
        if lines:
            panels.append(lambda axes, lines=lines, title=title, y=y: curves(axes, lines, title, "step", y))

    return draw(sheet, panels, page=page)
