"""The row account: rows in = rows kept + rows dropped, whatever was drawn, in one line and in one file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory import __version__
from virgo_factory.data.rows.account import DatasetAccount, DroppedRow, from_json, settle, to_json


def dropped(number, reason, **values):
    return DroppedRow(**{"number": number, "file": "", "line": 0, "id": "", "reason": reason} | values)


def account(rows_in, kept_for, name="virgo_dt", role="train"):
    return DatasetAccount(name, role, rows_in, kept_for=kept_for)


OVERLONG = [dropped(i, "overlong > 32768 tokens") for i in range(48)]
CUT = [dropped(i, "no end of thought") for i in range(48, 51)]
LINES = [
    # (rows in, kept, drawn, distinct, dropped, line)
    (
        4922,
        {"train": 4871},
        4922,
        4922,
        CUT + OVERLONG,
        "virgo_dt: 4922 rows in, 4871 kept, 51 dropped (48 overlong > 32768 tokens, 3 no end of thought)",
    ),
    (3, {"train": 3}, 3, 3, [], "virgo_dt: 3 rows in, 3 kept, 0 dropped"),
    (3, {"train": 0}, 3, 3, CUT, "virgo_dt: 3 rows in, 0 kept, 3 dropped (3 no end of thought)"),
    (
        100,
        {"train": 80, "validation": 17},
        100,
        100,
        CUT,
        "virgo_dt: 100 rows in, 97 kept (80 for train, 17 for validation), 3 dropped (3 no end of thought)",
    ),
    (
        1000,
        {"train": 7},
        10,
        10,
        CUT,
        "virgo_dt: 1000 rows in, 7 kept, 993 dropped (990 not drawn, 3 no end of thought)",
    ),
    (
        10,
        {"train": 12},
        15,
        10,
        CUT,
        "virgo_dt: 10 rows in, 5 drawn again, 12 kept, 3 dropped (3 no end of thought)",
    ),
    (
        2000,
        {"train": 3000},
        3000,
        1900,
        [],
        "virgo_dt: 2000 rows in, 1100 drawn again, 3000 kept, 100 dropped (100 not drawn)",
    ),
    (0, {}, 0, 0, [], "virgo_dt: 0 rows in, 0 kept, 0 dropped"),
]
LINES_OF_SEVERAL = [
    # (rows in, more examples, kept, drawn, distinct, dropped, line)
    (60, 540, {"train": 600}, 600, 600, [], "clevr: 60 rows in, 540 more examples in them, 600 kept, 0 dropped"),
    (
        60,
        90,
        {"train": 100},
        105,
        95,
        CUT + CUT[:2],
        "clevr: 60 rows in, 90 more examples in them, 10 drawn again, 100 kept, 60 dropped "
        "(55 not drawn, 5 no end of thought)",
    ),
]


@pytest.mark.parametrize(("rows_in", "kept_for", "drawn", "distinct", "rows", "line"), LINES)
def test_the_line_of_a_dataset(rows_in, kept_for, drawn, distinct, rows, line):
    one = account(rows_in, kept_for)
    settle(one, drawn, distinct, rows)
    assert str(one) == line
    assert one.rows_in + one.repeated == one.kept + one.dropped


@pytest.mark.parametrize(("rows_in", "extra", "kept_for", "drawn", "distinct", "rows", "line"), LINES_OF_SEVERAL)
def test_the_line_of_rows_with_several_examples(rows_in, extra, kept_for, drawn, distinct, rows, line):
    one = account(rows_in, kept_for, "clevr")
    one.extra = extra
    settle(one, drawn, distinct, rows)
    assert str(one) == line
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


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (dropped(811, "no end of thought"), "row 812: no end of thought"),
        (
            dropped(
                811, "no end of thought", file="data/dt.jsonl", line=812, id="math-17", detail="line 3 of the response"
            ),
            "data/dt.jsonl:812 (id math-17): no end of thought, line 3 of the response",
        ),
        (dropped(0, "image missing", id="x"), "row 1 (id x): image missing"),
    ],
)
def test_a_dropped_row_says_where_and_why(row, text):
    assert str(row) == text


ROWS = st.builds(
    DroppedRow,
    number=st.integers(0, 99),
    file=st.text(),
    line=st.integers(0),
    id=st.text(),
    reason=st.text(),
    detail=st.text(),
    part=st.integers(0, 9),
)
COUNTS = st.dictionaries(st.sampled_from(["train", "validation", "eval"]), st.integers(0, 9999))
ACCOUNTS = st.builds(
    DatasetAccount,
    name=st.text(),
    role=st.sampled_from(["train", "eval"]),
    rows_in=st.integers(0),
    extra=st.integers(0),
    repeated=st.integers(0),
    format=st.text(),
    kept_for=COUNTS,
    reasons=st.dictionaries(st.text(), st.integers(1)),
    dropped_rows=st.lists(ROWS, max_size=3),
)


@given(st.lists(ACCOUNTS, max_size=3))
def test_what_is_stored_is_read_back(accounts):
    stored = json.loads(json.dumps(to_json(accounts, settings={"template": "virgo"})))
    assert from_json(stored) == accounts
    assert stored["virgo_factory"] == __version__
    assert stored["settings"] == {"template": "virgo"}
    assert [(entry["kept"], entry["dropped"]) for entry in stored["datasets"]] == [
        (a.kept, a.dropped) for a in accounts
    ]
