"""From a global batch to accumulation steps: exact, or an error with the nearest sizes that are possible."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.core.global_batch import accumulation_steps


@pytest.mark.parametrize(
    ("rows", "ranks", "per_device", "steps"),
    [
        (128, 8, 1, 16),
        (128, 16, 1, 8),
        (128, 32, 1, 4),
        (128, 64, 1, 2),
        (128, 128, 1, 1),
        (128, 8, 4, 4),
        (1, 1, 1, 1),
    ],
)
def test_the_paper_on_any_cluster(rows, ranks, per_device, steps):
    assert accumulation_steps(rows, ranks, per_device) == steps


@pytest.mark.parametrize(
    ("rows", "ranks", "per_device", "nearest"),
    [
        (128, 24, 1, "120 or 144"),
        (128, 6, 2, "120 or 132"),
        (128, 256, 1, "256"),
        (100, 8, 16, "128"),
        (7, 2, 1, "6 or 8"),
        (0, 8, 1, "8"),
        (-128, 8, 1, "8"),
        (-3, 8, 1, "8"),
    ],
)
def test_what_does_not_divide(rows, ranks, per_device, nearest):
    with pytest.raises(ValueError, match=rf"Nearest possible: {nearest}\. Or change") as caught:
        accumulation_steps(rows, ranks, per_device)

    assert f"global_batch_size: {rows} is not a multiple of {ranks} ranks x" in str(caught.value)
    assert f"{per_device} = {ranks * per_device} rows" in str(caught.value)


@given(st.integers(1, 4096), st.integers(1, 256), st.integers(1, 64))
def test_exact_or_the_nearest_are_possible(rows, ranks, per_device):
    try:
        steps = accumulation_steps(rows, ranks, per_device)
    except ValueError as error:
        nearest = re.search(r"Nearest possible: (?:(\d+) or )?(\d+)\.", str(error))
        below, above = (int(size) if size else 0 for size in nearest.groups())
        assert below < rows < above
        assert above - below == ranks * per_device
        for size in (below, above):
            assert not size or accumulation_steps(size, ranks, per_device) * ranks * per_device == size
    else:
        assert steps >= 1
        assert steps * ranks * per_device == rows
