"""A finding: one thing that is wrong, or looks wrong, with a row."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says about one row; where the row stands is known to whoever asked.

    Attributes:
        code: short stable name of the kind, by which findings are counted.
        severity: an `error` cannot be trained on as it is; a `warning` deserves a look; an `info` says what is done
            with the row.
        detail: what is particular to this row; may be empty.
    """

    code: str
    severity: Literal["error", "warning", "info"]
    detail: str = ""
