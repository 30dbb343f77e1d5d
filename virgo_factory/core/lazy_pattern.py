"""Regular expressions that are compiled when they are first used: most processes never need most of them."""

import re
from typing import Any


class LazyPattern:
    """Stands for `re.compile(pattern, flags)`, with the methods and attributes of what that returns.

    For patterns behind a cheap test that few texts pass. Compiling all of them at import takes longer than a small file.

    >>> LazyPattern("a+").search("baa").group()
    'aa'
    """

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        self.pattern, self._flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what pickle and copy ask for
            raise AttributeError(name)

        found = getattr(re.compile(self.pattern, self._flags), name)  # compiled once: `re` keeps it
        setattr(self, name, found)  # the next time it is found without coming here
        return found
