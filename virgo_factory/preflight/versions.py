"""Which versions were tried together (docs/versions.md): said once, for `doctor`, `checkpoint check` and the hooks."""

import functools
import importlib.metadata

from packaging.version import Version


TRANSFORMERS = {"4.57": "4.57.6", "5.5": "5.5.4"}
"""Series of transformers that was tried -> the version of it."""

NO_GRPO = (
    "stage: grpo: not with transformers 5, whose models ask where pictures are (mm_token_type_ids), which TRL 0.24 does not "
    "tell them"
)
CRASHES = "5.6.0 stops in the first forward pass with flash_attn: fa2"
REMEDY_4 = 'pip install "transformers>=4.57.1,<5"'
REMEDY = f"{REMEDY_4}, or the set of constraints-transformers5.txt"


def is_5(transformers: str) -> bool:
    """Whether this version of transformers writes what 4.x does not read.

    >>> is_5("4.57.6"), is_5("5.5.4")
    (False, True)
    """
    return Version(transformers) >= Version("5")


@functools.cache
def reads_5() -> bool:
    """Whether what reads checkpoints here reads those of transformers 5: where it is installed, so does a vLLM beside it."""
    try:
        return is_5(importlib.metadata.version("transformers"))
    except importlib.metadata.PackageNotFoundError:
        return False


def transformers_problem(transformers: str) -> str:
    """Return what is wrong with a version of transformers; "" for one of a series that was tried.

    >>> transformers_problem("4.57.6"), transformers_problem("5.5.4")
    ('', '')
    >>> transformers_problem("5.6.0")
    'transformers 5.6.0 is untested; tested are 4.57.6 and 5.5.4'
    """
    version = Version(transformers)
    series = f"{version.major}.{version.minor}"
    if series in TRANSFORMERS and version >= Version("4.57.1"):
        return ""

    return f"transformers {transformers} is untested; tested are {' and '.join(TRANSFORMERS.values())}"
