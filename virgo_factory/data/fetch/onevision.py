"""The question sources of Virgo as LLaVA-OneVision has them: Parquet files by config, in a folder or on the hub."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from virgo_factory.core.errors import UserError


ORIGIN = "lmms-lab/LLaVA-OneVision-Data"
CONFIGS = (
    "GEOS(MathV360K)",
    "GeoQA+(MathV360K)",
    "Geometry3K(MathV360K)",
    "UniGeo(MathV360K)",
    "TabMWP(MathV360K)",
    "FigureQA(MathV360K)",
    "chartqa(cauldron,llava_format)",
    "clevr(cauldron,llava_format)",
)
"""The first-named config of each of Virgo's eight sources; which ones Virgo used is unconfirmed (section 2)."""

TEXT_ROWS, IMAGE_ROWS = 1000, 32
"""Rows of a row group that are read at a time."""

_SHARDS = "*.parquet"


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a config; `size` in bytes."""

    config: str
    name: str
    size: int


def shards_of(
    origin: str, configs: Sequence[str], known: Mapping[str, list[Shard]], revision: str | None
) -> tuple[dict[str, list[Shard]], str | None]:
    """Return the shards of each config and the revision they are of, None for a folder.

    `known`, of `revision`, is what an earlier call returned; the hub is asked only for what is missing there. Raises
    UserError for no such config (with those there are), or a hub that cannot be reached.
    """
    if Path(origin).is_dir():
        found = {
            config: [
                Shard(config, path.name, path.stat().st_size) for path in sorted(Path(origin, config).glob(_SHARDS))
            ]
            for config in configs
        }
        there = sorted({path.parent.name for path in Path(origin).glob(f"*/{_SHARDS}")})
    else:
        there = []
        if any(config not in known for config in configs):
            revision, on_hub = _hub_shards(origin, revision)
            there = sorted(on_hub)
            known = {**on_hub, **known}

        found = {config: known.get(config, []) for config in configs}

    if missing := [config for config in configs if not found[config]]:
        raise UserError(
            f"{origin}: no {_SHARDS} in a folder {', '.join(missing)}. There are: {', '.join(there) or 'none'}. "
            "Name one with --config, in quotes."
        )

    return found, revision


def _hub_shards(repository: str, revision: str | None) -> tuple[str, dict[str, list[Shard]]]:
    """Return the revision of a hub dataset and its shards by config."""
    import huggingface_hub

    try:
        info = huggingface_hub.HfApi().dataset_info(repository, revision=revision, files_metadata=True)
    except Exception as error:  # requests' and the library's own errors for "not there" and "no network"
        raise UserError(_unreachable(repository, error)) from None

    shards: dict[str, list[Shard]] = {}
    for file in sorted(info.siblings or (), key=lambda file: file.rfilename):
        path = PurePosixPath(file.rfilename)
        if len(path.parts) == 2 and path.match(_SHARDS):
            shards.setdefault(path.parts[0], []).append(Shard(path.parts[0], path.name, file.size or 0))

    return info.sha, shards


@contextmanager
def opened(origin: str, shard: Shard, revision: str | None, downloads: Path, remedy: str) -> Iterator[Any]:
    """Give a shard's Parquet file; a downloaded one is removed afterwards, so that one at a time takes room.

    Raises UserError, with the remedy, where it is broken, also while it is read, or has other columns than the published ones.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _local(origin, shard, revision, downloads) as path:
        try:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
                names = file.schema_arrow.names
                if (
                    not {"id", "image", "conversations"} <= set(names)
                    or file.schema_arrow.field("image").type.num_fields < 2
                ):
                    raise UserError(
                        f"columns found: {', '.join(names)}; expected id, image (bytes, path), conversations"
                    )

                yield file
        except (pa.ArrowException, ValueError) as error:
            raise UserError(f"{shard.config}/{shard.name}: {error}. {remedy}") from None


class Pictures:
    """The pictures of a row group, read forward as they are asked for, a few at a time."""

    def __init__(self, file: Any, group: int) -> None:
        self.batches = file.iter_batches(IMAGE_ROWS, row_groups=[group], columns=["image.bytes"])
        self.start, self.batch = 0, None

    def at(self, position: int) -> bytes | None:
        """Return the picture of a row; rows are asked for in their order."""
        while self.batch is None or position >= self.start + len(self.batch):
            self.start += len(self.batch) if self.batch is not None else 0
            self.batch = next(self.batches)

        return (self.batch.column(0)[position - self.start].as_py() or {}).get("bytes")


@contextmanager
def _local(origin: str, shard: Shard, revision: str | None, downloads: Path) -> Iterator[Path]:
    if Path(origin).is_dir():
        yield Path(origin, shard.config, shard.name)
        return

    import huggingface_hub

    if shutil.disk_usage(downloads.parent).free < shard.size:
        raise UserError(
            f"{downloads}: {shard.config}/{shard.name} needs {shard.size / 1e9:.1f} GB of disk. Make room."
        )

    try:
        path = huggingface_hub.hf_hub_download(
            origin,
            f"{shard.config}/{shard.name}",
            repo_type="dataset",
            revision=revision,
            local_dir=downloads,  # a download that was cut off goes on from there
        )
    except Exception as error:
        raise UserError(_unreachable(f"{origin}: {shard.config}/{shard.name}", error)) from None

    yield Path(path)
    Path(path).unlink()


def _unreachable(what: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()
    return (
        f"{what} could not be fetched ({type(error).__name__}: {reason[0] if reason else ''}). Run the same command "
        "where there is a network and HF_HUB_OFFLINE is not set; it goes on where it stopped. Or give a folder that "
        "holds CONFIG/train-*.parquet with --source."
    )
