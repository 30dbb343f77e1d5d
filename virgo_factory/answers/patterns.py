"""How answers are worded: the patterns of patterns.txt, each compiled when it is first used."""

import re
from pathlib import Path


_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}


class _Patterns:
    """The patterns by their names; one that is only a part of others is a text."""

    def __init__(self) -> None:
        self._flags: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        name = ""
        for line in Path(__file__).with_name("patterns.txt").read_text(encoding="utf-8").split("\n"):
            if line.startswith("    "):
                self._texts[name] += line[4:]
            elif line and line[0] != "#":
                name, _, flags = line.partition(" ")
                self._flags[name], self._texts[name] = flags, ""

    def _text(self, name: str) -> str:
        return re.sub(r"\{([A-Z][A-Z_]+)\}", lambda found: self._text(found[1]), self._texts[name])

    def __getattr__(self, name: str) -> re.Pattern[str] | str:
        if name not in self._flags:
            raise AttributeError(name)
        found, flags = self._text(name), self._flags[name]
        if flags != "part":
            found = re.compile(found, sum(_FLAGS[flag] for flag in flags))
        setattr(self, name, found)
        return found

    def compile_all(self) -> None:
        """Compile them before the first response, of whose time it would be."""
        for name in self._flags:
            getattr(self, name)


P = _Patterns()
