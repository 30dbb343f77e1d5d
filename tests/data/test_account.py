"""The row account: rows in = rows kept + rows dropped, whatever was drawn, in one line and in one file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory import __version__
from virgo_factory.data.rows.account import DatasetAccount, DroppedRow, from_json, settle, to_json


def dropped(number, reason, **values):
    return DroppedRow(**{"number": number, "file": "", "line": 0, "id": "", "reason": reason} | values)


def account(rows_in, kept_for):
    return DatasetAccount("virgo_dt", "train", rows_in, kept_for=kept_for)


OVERLONG = [dropped(i, "overlong > 32768 tokens") for i in range(48)]
CUT = [dropped(i, "no end of thought") for i in range(48, 51)]
NO_END = "(3 no end of thought)"
LINES = [
    # (rows in, more examples, kept, drawn, distinct, dropped, line)
    (4922, 0, {"train": 4871}, 4922, 4922, CUT + OVERLONG, "4922 rows in, 4871 kept, 51 dropped (48 overlong > 32768 tokens, 3 no end of thought)"),
    (3, 0, {"train": 3}, 3, 3, [], "3 rows in, 3 kept, 0 dropped"),
    (3, 0, {"train": 0}, 3, 3, CUT, f"3 rows in, 0 kept, 3 dropped {NO_END}"),
    (100, 0, {"train": 80, "validation": 17}, 100, 100, CUT, f"100 rows in, 97 kept (80 for train, 17 for validation), 3 dropped {NO_END}"),
    (1000, 0, {"train": 7}, 10, 10, CUT, "1000 rows in, 7 kept, 993 dropped (990 not drawn, 3 no end of thought)"),
    (10, 0, {"train": 12}, 15, 10, CUT, f"10 rows in, 5 drawn again, 12 kept, 3 dropped {NO_END}"),
    (2000, 0, {"train": 3000}, 3000, 1900, [], "2000 rows in, 1100 drawn again, 3000 kept, 100 dropped (100 not drawn)"),
    (0, 0, {}, 0, 0, [], "0 rows in, 0 kept, 0 dropped"),
    (60, 540, {"train": 600}, 600, 600, [], "60 rows in, 540 more examples in them, 600 kept, 0 dropped"),
    (60, 90, {"train": 100}, 105, 95, CUT + CUT[:2],
     "60 rows in, 90 more examples in them, 10 drawn again, 100 kept, 60 dropped (55 not drawn, 5 no end of thought)"),
]  # fmt: skip


@pytest.mark.parametrize(("rows_in", "extra", "kept_for", "drawn", "distinct", "rows", "line"), LINES)
def test_the_line_of_a_dataset(rows_in, extra, kept_for, drawn, distinct, rows, line):
    one = account(rows_in, kept_for)
    one.extra = extra
    settle(one, drawn, distinct, rows)
    assert str(one) == f"virgo_dt: {line}"
    assert one.rows_in + one.extra + one.repeated == one.kept + one.dropped


@pytest.mark.parametrize(
    ("rows_in", "kept_for", "drawn", "distinct", "rows"),
    [
        (10, {"train": 9}, 10, 10, []),  # a row lost
        (10, {"train": 10}, 10, 10, CUT[:1]),  # a row counted twice
        (10, {"train": 10}, 9, 9, []),  # a row that was not drawn and is kept
        (10, {}, 10, 10, CUT),
        (10, {"train": 12}, 12, 12, []),  # more examples than rows, and no row said to hold several
    ],
)
def test_an_account_that_does_not_add_up_is_a_defect(rows_in, kept_for, drawn, distinct, rows):
    with pytest.raises(AssertionError, match="does not add up"):
        settle(account(rows_in, kept_for), drawn, distinct, rows)


def test_a_dropped_row_says_where_and_why():
    placed = {"file": "data/dt.jsonl", "line": 812, "id": "math-17", "detail": "line 3 of the response"}
    told = "data/dt.jsonl:812 (id math-17): no end of thought, line 3 of the response"
    assert str(dropped(811, "no end of thought", **placed)) == told
    assert str(dropped(811, "no end of thought")) == "row 812: no end of thought"
    assert str(dropped(0, "image missing", id="x")) == "row 1 (id x): image missing"


ROWS = st.builds(DroppedRow, number=st.integers(0, 99), line=st.integers(0), part=st.integers(0, 9), detail=st.text())
COUNTS = st.dictionaries(st.sampled_from(["train", "validation", "eval"]), st.integers(0, 9999))
ACCOUNTS = st.builds(
    DatasetAccount, rows_in=st.integers(0), extra=st.integers(0), repeated=st.integers(0), format=st.text(),
    kept_for=COUNTS, reasons=st.dictionaries(st.text(), st.integers(1)), dropped_rows=st.lists(ROWS, max_size=3),
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(ACCOUNTS, max_size=3))
def test_what_is_stored_is_read_back(accounts):
    stored = json.loads(json.dumps(to_json(accounts, settings={"template": "virgo"})))
    assert from_json(stored) == accounts
    assert stored["virgo_factory"] == __version__
    assert stored["settings"] == {"template": "virgo"}
    told = [(entry["kept"], entry["dropped"]) for entry in stored["datasets"]]
    assert told == [(one.kept, one.dropped) for one in accounts]
