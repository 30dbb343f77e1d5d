"""A diagnosis: what was looked at before a run or after it, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        check: what was looked at, in a word or two.
        severity: `ok`; `warning`, which may cost a run; `error`, which will.
        found: what there is.
        remedy: what to do; "" where nothing is to be done.
    """

    check: str
    severity: str
    found: str
    remedy: str = ""
