"""When a run is stopped for the gap between trainer and server, and what its tokens weigh."""

import math

import numpy as np
import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.core.importance import GapGuard, importance_weights


@pytest.mark.parametrize(
    ("gaps", "stops_at"),
    [
        ([2e-4, 3e-4, 2e-4], None),
        ([0.5, 2e-4, 0.5, 2e-4], None),
        ([2e-4, 0.5, 0.5], 2),
        ([0.05, 0.05, 0.051, 0.051], 3),
        ([math.nan, math.nan], 1),
    ],
)
def test_two_steps_in_a_row_end_the_run(gaps, stops_at):
    guard = GapGuard(bound=0.05)
    for step, gap in enumerate(gaps):
        if step == stops_at:
            with pytest.raises(UserError, match=f"do not have the weights of step {step}: .*rl_max_logprob_gap: 0.05"):
                guard.see(step, gap)

            return

        guard.see(step, gap)

    assert stops_at is None


def test_weights_are_ratios_with_a_cap():
    trainer, server = np.array([-1.0, -1.0, -9.0, -2.0]), np.array([-1.0, -2.0, -1.0, -2.0 - math.log(2)])
    assert importance_weights(trainer, server) == pytest.approx([1.0, 2.0, math.exp(-8), 2.0])
    assert importance_weights(trainer, server, cap=3.0) == pytest.approx([1.0, math.e, math.exp(-8), 2.0])


def test_weights_of_tensors_are_those_of_arrays():
    torch = pytest.importorskip("torch")
    trainer, server = torch.tensor([[-1.0, -3.0]]), torch.tensor([[-2.5, -1.0]])
    assert importance_weights(trainer, server).tolist() == [pytest.approx([2.0, math.exp(-2)])]
