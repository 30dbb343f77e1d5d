"""A diagnosis: what was looked at before a run or after it, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at."""

    check: str  # what was looked at, in a word or two
    severity: str  # `ok`; `warning`, which may cost a run; `error`, which will
    found: str  # what there is
    remedy: str = ""  # what to do; "" where nothing is to be done
