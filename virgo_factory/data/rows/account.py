"""The row account: of every dataset, how many rows came in, how many are trained on, and why the others are not."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from virgo_factory import __version__
from virgo_factory.data.read.reader import place_of


FILE_NAME = "virgo_rows.json"
EVALUATION_FILE_NAME = "virgo_rows_evaluation.json"
"""Of a run that does not train: the account of the training in the same folder stays."""
SHOWN = 20


@dataclass(frozen=True)
class DroppedRow:
    """A row, or one example of a row, that is not trained on.

    `file` is "" and `line` 0 where the rows were not read by our reader (`reader.ReadRow.line`); `part` counts the examples of
    one row from 0.
    """

    number: int
    file: str
    line: int
    id: str
    reason: str
    detail: str = ""
    part: int = 0

    def __str__(self) -> str:
        place = place_of(self.file, self.line, self.number) if self.file else f"row {self.number + 1}"
        named = f" (id {self.id})" if self.id else ""
        return f"{place}{named}: {self.reason}" + (f", {self.detail}" if self.detail else "")


@dataclass
class DatasetAccount:
    """The account of one dataset in one run.

    `rows_in` + `extra` + `repeated` = `kept` + `dropped`, always: a row may hold several examples (several questions on
    one picture, several responses), may be drawn more than once (`num_samples`, `interleave_over`), and what was not
    drawn (`max_samples`, mixing) counts as dropped, "not drawn".
    """

    name: str  # in dataset_info.json
    role: str  # `train`, or `eval` for a dataset of `eval_dataset`
    rows_in: int  # rows of the source
    extra: int = 0  # examples beyond the first of rows that hold several
    repeated: int = 0
    format: str = ""  # the family by which the rows were read; "" where they show none
    # rows that are used, by `train`, `validation` (split off by `val_size`) or `eval`
    kept_for: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    dropped_rows: list[DroppedRow] = field(default_factory=list)
    # how many of the kept ones have something particular: what was done to them, or was not understood
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return sum(self.kept_for.values())

    @property
    def dropped(self) -> int:
        return sum(self.reasons.values())

    def __str__(self) -> str:
        """The one line of this dataset that a run prints."""
        more = f", {self.extra} more examples in them" if self.extra else ""
        more += f", {self.repeated} drawn again" if self.repeated else ""
        kept = f"{self.kept} kept"
        if len(self.kept_for) > 1:
            kept += f" ({', '.join(f'{rows} for {use}' for use, rows in self.kept_for.items())})"

        why = ", ".join(f"{rows} {reason}" for reason, rows in self.reasons.items())
        told = (
            f"{self.name}: {self.rows_in} row{'s' * (self.rows_in != 1)} in{more}, {kept}, {self.dropped} dropped"
            + (f" ({why})" if why else "")
        )
        noted = ", ".join(f"{rows} {note}" for note, rows in self.notes.items())
        return f"{told}; of the kept {noted}" if noted else told


def settle(account: DatasetAccount, drawn: int, distinct: int, dropped: list[DroppedRow]) -> None:
    """Enter the dropped rows and those never drawn, most frequent reason first.

    `drawn` examples, `distinct` of them different, are in the tables that were tokenised; `dropped` are those not
    kept. Raises AssertionError where the numbers do not add up, which is a defect of this package.
    """
    counts = Counter(row.reason for row in dropped)
    examples = account.rows_in + account.extra
    if distinct < examples:
        counts["not drawn"] = examples - distinct

    account.repeated = drawn - distinct
    account.reasons = dict(counts.most_common())
    account.dropped_rows = dropped
    if examples + account.repeated != account.kept + account.dropped:
        raise AssertionError(f"row account does not add up: {account}")


def to_json(accounts: list[DatasetAccount], **more: Any) -> dict[str, Any]:
    """Return the content of virgo_rows.json; a dropped item of a JSON list on one line has `item`, and line 0."""
    datasets = []
    for account in accounts:
        rows = [asdict(row) for row in account.dropped_rows]
        rows = [row if row["line"] >= 0 else {**row, "line": 0, "item": -row["line"]} for row in rows]
        datasets.append({**asdict(account), "dropped_rows": rows, "kept": account.kept, "dropped": account.dropped})

    return {"virgo_factory": __version__, **more, "datasets": datasets}


def from_json(content: dict[str, Any]) -> list[DatasetAccount]:
    accounts = []
    for entry in content["datasets"]:
        values = {key: value for key, value in entry.items() if key not in ("kept", "dropped")}
        rows = [{**row, "line": row["line"] or -row.get("item", 0)} for row in entry["dropped_rows"]]
        values["dropped_rows"] = [DroppedRow(**{name: row[name] for name in row if name != "item"}) for row in rows]
        accounts.append(DatasetAccount(**values))

    return accounts
