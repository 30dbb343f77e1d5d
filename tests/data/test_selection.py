"""The seeded order: complete, the same wherever rows stand, proportional in every prefix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.data.make.sampling import domain_mask, domain_names, domains_there, gather, seeded_order
from virgo_factory.data.rows.worker import RowRecord


DIGESTS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=200, unique=True)


def record(number: int, domain: str | None = "math", digest: int | None = None, part: int = 0, **more):
    digest = number if digest is None else digest
    return RowRecord(0, part, 0, number=number, domain=domain, digest=digest, **more)


@given(digests=DIGESTS, seed=st.integers(-(2**70), 2**70), data=st.data())
def test_the_order_depends_on_content_and_seed_alone(digests, seed, data):
    values = np.array(digests, dtype=np.uint64)
    strata = values % 4
    order = seeded_order(values, strata, seed)
    assert sorted(order) == list(range(len(digests)))
    shuffled = np.array(data.draw(st.permutations(range(len(digests)))))
    again = seeded_order(values[shuffled], strata[shuffled], seed)
    assert list(values[order]) == list(values[shuffled][again])


@given(digests=DIGESTS, count=st.integers(1, 4), seed=st.integers(0, 9))
def test_every_prefix_keeps_the_shares(digests, count, seed):
    values = np.array(digests, dtype=np.uint64)
    strata = (values >> np.uint64(7)) % count
    ordered = strata[seeded_order(values, strata, seed)]
    for stratum in range(count):
        share = (strata == stratum).mean()
        reached = np.cumsum(ordered == stratum)
        assert np.abs(reached - share * np.arange(1, len(ordered) + 1)).max() <= (count + 1) / 2


def test_another_seed_is_another_order():
    values = np.arange(1000, dtype=np.uint64)
    strata = np.zeros(1000, dtype=np.int64)
    first = {seed: set(seeded_order(values, strata, seed)[:500].tolist()) for seed in (1, 2)}
    assert 180 < len(first[1] & first[2]) < 320  # 250 expected of independent draws


def test_no_rows():
    assert len(seeded_order(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64), 1)) == 0


def test_rows_in_are_candidates_and_rows_dropped():
    records = [
        record(0),
        record(1, reason="no end of thought"),
        record(2, "code"),
        record(2, "code", digest=22, part=1),
        record(3, None),
        record(0, "math", digest=100, source=1),
    ]
    found = gather(records, lambda row: "another domain" if row.domain is None else "")
    assert (found.rows_in, found.examples_in, len(found)) == (5, 6, 4)
    assert dict(found.dropped) == {"no end of thought": 1, "another domain": 1}
    assert found.examples_in == len(found) + found.dropped.total()
    assert found.domains == ["math", "code"]
    assert domain_mask(found, ["Code"]).tolist() == [False, True, True, False]
    assert domains_there(found) == "math 2, code 2"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [(["math"], {"math"}), (["SCIENCE"], {"science", "physics", "chemistry", "biology"}), ([], set())],
)
def test_science_is_what_the_paper_calls_it(asked, meant):
    assert domain_names(asked) == meant
