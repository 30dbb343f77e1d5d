"""The demo of training: a tiny random Qwen2-VL learns long thoughts by the stock command."""

from collections.abc import Iterator
from pathlib import Path

from virgo_factory.demo.proofs import Proof, loss_fell, parts_trained, rows_accounted
from virgo_factory.demo.steps import begin, training


FOLDER = Path("saves/virgo_demo")
BASE = FOLDER / "base"  # the tiny random model that training starts from
TRAINING = training("virgo_demo_dt", FOLDER / "dt", "Long thoughts, on a tiny random Qwen2-VL: the real architecture.")
SEED = 2501


def prepare() -> None:
    """Make the base model anew, and remove what an earlier demo left behind."""
    from virgo_factory.preflight.twin.twin import make_twin

    begin(FOLDER, (BASE, TRAINING.output))
    make_twin(BASE, seed=SEED, dtype="float32")


def prove() -> Iterator[Proof]:
    """Yield one proof after the other."""
    yield parts_trained(BASE, TRAINING.output, with_pictures=False)
    yield loss_fell(TRAINING)
    yield rows_accounted(TRAINING)
