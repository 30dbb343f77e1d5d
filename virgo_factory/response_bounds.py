"""The bounds of a response's length: `min_response_tokens` and `max_response_tokens`, both inclusive."""

from collections.abc import Sequence


OUTSIDE = ("response < ", "response > ")
"""How the reasons begin."""


def outside(tokens: Sequence[int], low: int | None, high: int | None) -> tuple[str, str] | None:
    """Return reason and detail of dropping a row one of whose responses is outside the bounds; None where none is.

    Args:
        tokens: of each response by itself (of a pair both, of several turns each), without end of turn, markers as text.
        low: the least that is kept; None: no bound.
        high: the most that is kept.

    >>> outside([62, 62], None, 67), outside([62, 70], None, 67)
    (None, ('response > 67 tokens', '70 tokens'))
    """
    if low and tokens and min(tokens) < low:
        return f"{OUTSIDE[0]}{low} tokens", f"{min(tokens)} tokens"

    if high and tokens and max(tokens) > high:
        return f"{OUTSIDE[1]}{high} tokens", f"{max(tokens)} tokens"

    return None
