"""When a run is stopped for the gap between trainer and server."""

import math

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.core.sampler_gap import GapGuard


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
