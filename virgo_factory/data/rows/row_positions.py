"""Where rows stand, in arrays: 22 bytes a row and its id, so that a million places cost 22 MB."""

from array import array
from collections.abc import Sequence

import numpy as np

from virgo_factory.data.read.reader import place_of
from virgo_factory.data.read.source import Source
from virgo_factory.data.rows.findings import RowFinding


class Places:
    """Where rows stand, in the order in which they were added."""

    def __init__(self) -> None:
        self.sources, self.files = array("H"), array("I")
        self.lines, self.numbers, self.ends = array("i"), array("I"), array("Q")
        self.ids = bytearray()
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self.lines)

    def add(self, source: int, file: str, line: int, number: int, id: str) -> None:
        """Add a row: position of its source, file, line (`reader.ReadRow.line`; 0 in a table), number in the source, id."""
        if not self._names or self._names[-1] != file:  # rows come file after file
            self._names.append(file)

        self.sources.append(source)
        self.files.append(len(self._names) - 1)
        self.lines.append(line)
        self.numbers.append(number)
        self.ids += id.encode("utf-8", "surrogatepass")
        self.ends.append(len(self.ids))

    def id(self, row: int) -> str:
        start = self.ends[row - 1] if row else 0
        return self.ids[start : self.ends[row]].decode("utf-8", "surrogatepass")

    def place(self, row: int) -> str:
        return place_of(self._file(row), self.lines[row], self.numbers[row])

    def finding(self, row: int, sources: Sequence[Source], code: str, severity: str, detail: str) -> RowFinding:
        name = sources[self.sources[row]].name
        place = (name, self._file(row), self.lines[row], self.numbers[row], self.id(row))
        return RowFinding(*place, code, severity, detail)

    def keys(self) -> np.ndarray:
        """Return a number for each row, the same for all examples of one: (rows,) of uint64."""
        return (np.array(self.sources, np.uint64) << np.uint64(40)) + np.array(self.numbers, np.uint64)

    def _file(self, row: int) -> str:
        return self._names[self.files[row]]
