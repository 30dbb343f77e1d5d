"""One load of a run's datasets: what is known while it runs, and the row account that it leaves.

LLaMA-Factory's own functions, which call ours, have no place to hand this on. It is found where they run: two loads at a
time, in two threads, have each their own.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from virgo_factory.core.errors import UserError
from virgo_factory.core.reasons import Reason
from virgo_factory.data.read.media import OUTSIDE as OUTSIDE_MEDIA
from virgo_factory.data.read.media import outside_remedy
from virgo_factory.data.rows.account import FILE_NAME, SHOWN, DatasetAccount, DroppedRow, settle
from virgo_factory.hooks.data.aligned import examples_of
from virgo_factory.hooks.data.converter import ROW_FEATURES
from virgo_factory.io.fingerprint import code_hash


_NO_DROP = ("dataset", "format", "notes")
"""ROW columns that a dropped row is not told with."""


@dataclass
class Load:
    """What is known while one `get_dataset` is running: of the dataset being loaded and, in `accounts`, of all.

    Attributes:
        attribute, parts: of the dataset being loaded; its files by the parts that its `split` names.
        predicts: the datasets of `dataset:` are asked, not trained on (LLaMA-Factory's scripts/vllm_infer.py).
    """

    attribute: Any = None
    parts: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    code: str = ""
    cache_dir: str | None = None
    accounts: dict[tuple[str, str], DatasetAccount] = field(default_factory=dict)
    drawn: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    dropped: dict[tuple[str, str], list[DroppedRow]] = field(default_factory=dict)
    formattings: dict[str, str] = field(default_factory=dict)
    role: str = "train"
    predicts: bool = False

    def note(self, table: Dataset, use: str) -> list[int]:
        """Enter the rows of a tokenised table into the accounts, and return the positions of the kept ones."""
        role = "eval" if use == "eval" else "train"
        names, reasons = (table.data.column(name).to_numpy() for name in ("_row_dataset", "_row_reason"))
        examples = examples_of(table)
        good = reasons == ""
        for name in dict.fromkeys(names.tolist()):
            key, here = (name, role), names == name
            self.drawn.setdefault(key, []).append(examples[here])
            self.accounts[key].kept_for[use] = int((good & here).sum())
            for note, rows in _notes(table, good & here).items():
                self.accounts[key].notes[note] = self.accounts[key].notes.get(note, 0) + rows

        for row in table.select(np.flatnonzero(~good)).select_columns(list(ROW_FEATURES)):
            values = {name.removeprefix("_row_"): value for name, value in row.items()}
            dropped = DroppedRow(**{name: value for name, value in values.items() if name not in _NO_DROP})
            self.dropped.setdefault((values["dataset"], role), []).append(dropped)

        return np.flatnonzero(good).tolist()

    def settled(self) -> list[DatasetAccount]:
        """Return the accounts, complete."""
        for key, account in self.accounts.items():
            examples = np.concatenate(self.drawn.get(key, [np.empty(0, dtype=np.int64)]))
            dropped = sorted(self.dropped.get(key, []), key=lambda row: (row.number, row.part))
            settle(account, drawn=len(examples), distinct=len(np.unique(examples)), dropped=dropped)

        return list(self.accounts.values())


_running: ContextVar[Load | None] = ContextVar("virgo_factory_load", default=None)


def running() -> Load | None:
    """Return the load that this code runs in; None in a run that does not use the plugin."""
    return _running.get()


@contextlib.contextmanager
def loading(predicts: bool) -> Iterator[Load]:
    """Begin a load, which lasts as long as the block."""
    load = Load(code=code_hash(), predicts=predicts)
    token = _running.set(load)
    try:
        yield load
    finally:
        _running.reset(token)


def _notes(table: Dataset, here: np.ndarray) -> Counter[str]:
    """Return the notes of some rows of a table with how many have each; most rows have none."""
    notes = table.data.column("_row_notes").filter(pa.array(here))
    return Counter(note for text in pc.drop_null(notes).to_pylist() if text for note in text.split("\n"))


def check_accounts(accounts: list[DatasetAccount], data_args: Any) -> None:
    """Stop the run where the policy says so, with up to 20 rows: every message names file and line.

    Raises:
        ValueError: a row was dropped under `error`, a row of an evaluation set was dropped, or nothing is kept.
    """
    for account in accounts:
        if account.role == "eval":
            rows = account.dropped_rows
            remedy = "Dropping rows of an evaluation set would change the benchmark. Repair or remove them."
        else:
            rows = [row for row in account.dropped_rows if _is_error(row, data_args)]
            remedy = "Repair or remove them, or set overlong: drop and malformed: drop to train on the rest."

        if account.kept == 0:
            rows = account.dropped_rows
            remedy = "No row is kept, so there is nothing to train on."

        if rows or account.kept == 0:
            remedy = " ".join(filter(None, (media_remedy(account, data_args), remedy)))
            lines = [f"  {row}" for row in rows[:SHOWN]]
            if len(rows) > SHOWN:
                lines.append(f"  ... and {len(rows) - SHOWN} more, all of them in {FILE_NAME} in the output folder")

            raise UserError("\n".join([str(account), *lines, remedy]))


def media_remedy(account: DatasetAccount, data_args: Any) -> str | None:
    """Return what to do about dropped rows with absolute paths outside media_dir; None where there are none."""
    details = [row.detail for row in account.dropped_rows if row.reason == OUTSIDE_MEDIA]
    return outside_remedy(details, str(data_args.media_dir))


def _is_error(row: DroppedRow, data_args: Any) -> bool:
    """Whether the row was dropped for a reason that the recipe calls an error; the bounds of a response never are."""
    reason = Reason.of(row.reason)
    if reason in (Reason.TOO_SHORT, Reason.TOO_LONG):
        return False

    return (data_args.overlong if reason is Reason.OVERLONG else data_args.malformed) == "error"
