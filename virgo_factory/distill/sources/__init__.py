"""Where questions come from: LLaVA-OneVision, or each dataset's own original files. One file a source, one registry."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from virgo_factory.core.errors import UserError
from virgo_factory.distill.sources import chartqa, clevr, figureqa, geometry3k, geos, iconqa, onevision, tabmwp
from virgo_factory.distill.sources.source_row import Asked, Found, Picture, without_contradictions


__all__ = ["ORIGINALS", "SOURCES", "Asked", "Found", "Picture", "read_source"]

ORIGINALS: dict[str, ModuleType] = {
    "geos": geos,
    "geometry3k": geometry3k,
    "tabmwp": tabmwp,
    "figureqa": figureqa,
    "chartqa": chartqa,
    "clevr": clevr,
    "iconqa": iconqa,
}
"""Source -> the module that reads its own files; GeoQA+ and UniGeo are read from LLaVA-OneVision alone."""

SOURCES = (*onevision.SOURCES, *(name for name in ORIGINALS if name not in onevision.SOURCES))


def read_source(name: str, source_dir: Path | None, origin: str, downloads: Path) -> Iterator[Found]:
    """Yield the questions of a source, and the reasons why rows give none, in the order of its files.

    `source_dir` has a sub-folder a source of the original files; without it they come from LLaVA-OneVision, on the hub or in a folder
    with a sub-folder a config (`origin`). ValueError: no such source there, with what is there; or its files cannot be read.
    """
    if source_dir is None:
        if name not in onevision.CONFIG_OF:
            raise UserError(
                f"sources: {name} is not of LLaVA-OneVision's configs, which are {', '.join(onevision.SOURCES)}. "
                f"Give its original files with source_dir."
            )

        yield from onevision.read(name, origin, downloads)
        return

    if name not in ORIGINALS:
        raise UserError(
            f"sources: the original files of {name} are not read ({', '.join(ORIGINALS)} are). Leave source_dir out to "
            "take it from LLaVA-OneVision."
        )

    folder, module = source_dir / name, ORIGINALS[name]
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in source_dir.iterdir() if path.is_dir())[:20]) or "none"
        raise UserError(f"source_dir: no folder {folder}. Folders there: {there}.")

    empty = True
    for found in without_contradictions(module.read(folder)):
        empty = False
        yield found

    if empty:
        raise UserError(f"{folder}: no questions. Expected files of {name}: {module.LAYOUT}.")
