"""Rows that several datasets, or one, hold twice: the first stays, and an account says who was left out for whom.

Two rows are the same where their texts share nearly all five-word sequences, or have nearly one vector by a model at hand,
their pictures look alike, one by one, and neither the numbers in the question nor the gold answer differ. OpenMMReasoner joins
the text's vector with one of the pictures at 0.99 (paper, supplement; copies, not paraphrases), between sets and never within
one: `across`. Of two unit vectors joined both must be nearly equal for that, so that pictures by their hash ask for the same.
"""

import functools
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory import __version__
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE, Example
from virgo_factory.data.check.alike_pictures import gathered
from virgo_factory.data.check.duplicates import HASHES, near_duplicates, sketch
from virgo_factory.data.check.near_duplicates import whole_text
from virgo_factory.data.check.text_embedding import alike_vectors, load_embedding
from virgo_factory.data.make.holdout import picture_digest
from virgo_factory.data.make.kept_rows import check_whole, kept_entry, suffix_for, write_kept
from virgo_factory.data.make.pipeline import Inputs, check_targets
from virgo_factory.data.make.writing import SUFFIXES, partial_of, published
from virgo_factory.data.read.files.chunks import Chunk
from virgo_factory.data.read.look import difference_hash
from virgo_factory.data.read.reader import read_chunk, why_unreadable
from virgo_factory.data.read.source import Source, raw_rows
from virgo_factory.data.rows.pool import each_chunk
from virgo_factory.data.rows.worker import digest
from virgo_factory.formats import read_row
from virgo_factory.formats.row import own_id
from virgo_factory.io.atomic import TEXT
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.report.card import Card, write_card
from virgo_factory.report.table import Table, account


BOUND, COSINE = 0.95, 0.99
"""Least similarity by five-word sequences, and by a model (OpenMMReasoner's)."""
BY = ("row", "question")
ACCOUNT = "dropped.jsonl"
"""In the folder of the outputs: a line for each row that was left out, with the row that stays in its place."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_GOLD = re.compile(r"\\boxed|[^\w./+-]")


@dataclass(frozen=True)
class Looked:
    """What the rows of a chunk are compared by."""

    texts: np.ndarray  # (rows, HASHES) of uint16, sketches; or (rows, width) of float32, vectors
    facts: np.ndarray  # (rows,) of uint64: one for each combination of the question's numbers and the gold answer
    counts: np.ndarray  # (rows,) of the pictures of each
    pictures: np.ndarray  # (all of these,) of uint64, their hashes
    # (rows,): 0 compared, 1 compared with pictures that cannot be opened (by what names them), 2 it gives no example,
    # so nothing is known of it, 3 it cannot be read
    state: np.ndarray
    unread: Counter[str]  # why those cannot be read -> how many


def look(
    found: tuple[int, Chunk], sources: Sequence[Source], by: str, embedding: Path | None
) -> tuple[int, Chunk, Looked]:
    """Return what the rows of a chunk are compared by."""
    index, chunk = found
    source = sources[index]
    rows, pictures, unread = [], [], Counter()
    for row in read_chunk(chunk):
        examples = [] if row.problem else read_row(row.raw, source.formatting, source.options).parts
        examples = [part for part in examples if isinstance(part, Example)]
        if not examples:
            rows.append(("", 0, 0, 3 if row.problem else 2))
            unread.update([why_unreadable(row.problem)[0]] if row.problem else [])
            continue

        question = "\n".join(turn.question for example in examples for turn in example.turns)
        text = question if by == "question" else "\n".join(map(whole_text, examples))
        gold = _GOLD.sub("", (examples[0].answer or "").casefold()).strip(".")
        fact = digest(json.dumps([_NUMBER.findall(question), gold]).encode())
        hashes = [_picture(image, source) for image in examples[0].images]
        pictures += [value for value, _ in hashes]
        rows.append((text.replace(IMAGE, " "), fact, len(hashes), int(any(is_name for _, is_name in hashes))))

    texts, facts, counts, state = zip(*rows, strict=True)
    if embedding:
        seen = load_embedding(embedding).of(texts)
    else:
        seen = np.array([*map(sketch, texts)], np.uint16).reshape(-1, HASHES)

    kinds = ((facts, np.uint64), (counts, np.uint32), (pictures, np.uint64), (state, np.uint8))
    return index, chunk, Looked(seen, *(np.array(values, kind) for values, kind in kinds), unread)


def _picture(image: Any, source: Source) -> tuple[int, bool]:
    """Return the hash of a picture, or of what names one that cannot be opened, and whether it is that."""
    if isinstance(image, str):
        return _named_picture(image, str(source.media_dir), source.hub)

    content = image.get("bytes") or image.get("path") if isinstance(image, dict) else image
    found = picture_digest(image, [source.media_dir], difference_hash, source.hub)
    return (int.from_bytes(found), False) if found else (digest(repr(content).encode("utf-8", "replace")), True)


@functools.lru_cache(maxsize=1 << 16)
def _named_picture(image: str, folder: str, hub: str | None) -> tuple[int, bool]:
    """As `_picture`; eight rows of one question follow each other."""
    found = picture_digest(image, [Path(folder)], difference_hash, hub)
    return (int.from_bytes(found), False) if found else (digest(image.encode("utf-8", "replace")), True)


def dedup(
    sources: Sequence[Source],
    folder: Path,
    command: str,
    across: bool = False,
    by: str = "row",
    bound: float | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    embedding: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write each dataset without the rows that stand in it, or in one named before it, already; return the card for programs.

    Rows stay as they are, in their order. One that gives no example under its formatting is not compared, and stays;
    one that cannot be read has no place in an output. A million rows with a picture each need 0.4 GB, the file of
    their sketches among it, and 25 s beside reading them. The first source keeps most. `folder` gets NAME.jsonl or
    NAME.parquet of each, ACCOUNT and its card. `bound` is the least similarity of the texts: BOUND by five-word
    sequences, COSINE by the vectors of the model2vec model in the folder `embedding`. Raises UserError where an output
    is in the way, two of them have one name, or nothing can be compared.
    """
    if folder.suffix in SUFFIXES:
        raise UserError(
            f"{folder}: the output is a folder, with a file of each dataset in it. Name one, such as {folder.with_suffix('')}."
        )

    targets = [folder / f"{source.name}{suffix_for(source)}" for source in sources]
    if twice := [str(path) for path, count in Counter(targets).items() if count > 1]:
        raise UserError(
            f"{', '.join(twice)}: the output of several inputs. Name them otherwise, or in dataset_info.json."
        )

    if across and len(sources) < 2:
        raise UserError("--across compares datasets with each other: name two at least.")

    for source in sources:
        check_whole(source)

    kind, width = (np.float32, load_embedding(embedding).vectors.shape[1]) if embedding else (np.uint16, HASHES)
    bound = bound or (COSINE if embedding else BOUND)
    check_targets([*targets, folder / ACCOUNT], sources, overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = Inputs.of(sources)
    with tempfile.TemporaryFile(dir=folder) as file:
        facts, state, starts, unread = _look_at_all(sources, by, embedding, workers, progress, file)
        total = len(state)
        if not (state < 2).any():
            raise UserError(
                f"{', '.join(source.name for source in sources)}: none of {total:,} rows gives an example, so nothing was compared. Name the "
                "formatting (--formatting questions for prompts)."
            )

        texts = np.memmap(file, kind, "r", shape=(total, width))
        alike = alike_vectors if embedding else near_duplicates
        sets = np.repeat(np.arange(len(sources), dtype=np.uint16), np.diff(starts))
        facts[state >= 2] = np.arange(int((state >= 2).sum()), dtype=np.uint64)  # such rows are like none
        instead: dict[int, tuple[int, float]] = {}
        for row, earlier, similarity in alike(texts, bound, facts, sets if across else None):
            if state[row] < 2 and state[earlier] < 2:
                instead[row] = instead[earlier][0] if earlier in instead else earlier, similarity

    is_kept = state != 3
    is_kept[list(instead)] = False
    with published([*targets, folder / ACCOUNT]):
        _write_account(sources, starts, instead, partial_of(folder / ACCOUNT))
        outputs = []
        for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
            own = slice(starts[index], starts[index + 1])
            write_kept(source, is_kept[own], target)
            outputs.append(
                {
                    "dataset": source.name,
                    "file": target.name,
                    "rows_in": int(np.diff(starts)[index]),
                    "kept": int(is_kept[own].sum()),
                    "sha256": file_hash(partial_of(target)),
                    "media_dir": str(source.media_dir),
                    "entry": kept_entry(source, target),
                }
            )

        settings = {"by": by, "across": across, "bound": bound} | ({"embedding": str(embedding)} if embedding else {})
        whom = Counter((sources[sets[row]].name, sources[sets[kept]].name) for row, (kept, _) in instead.items())
        keepers = Counter(sources[sets[kept]].name for kept, _ in instead.values())
        content = {
            "verb": "dedup",
            "version": __version__,
            "command": command,
            "settings": settings,
            "inputs": [vars(found) for found in inputs.described()],
            "rows_in": total,
            "kept": int(is_kept.sum()),
            "dropped": {f"stands in {name} already": n for name, n in keepers.most_common()} | dict(unread),
            "unread": dict(unread),
            "for_whom": [{"of": of, "stands_in": kept, "rows": rows} for (of, kept), rows in whom.most_common()],
            "by_name": int((state == 1).sum()),
            "not_compared": int((state == 2).sum()),
            "outputs": outputs,
        }
        write_card(folder / ACCOUNT, _card(content, file_hash(partial_of(folder / ACCOUNT))), content)

    return content


def _look_at_all(
    sources: Sequence[Source],
    by: str,
    embedding: Path | None,
    workers: int | None,
    progress: Callable[[int, int], None],
    file: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Counter[str]]:
    """Write sketches or vectors to a file; return what is known of all rows.

    That is their facts with the pictures among them, their states, where each source's rows start, and why some cannot be read.
    """
    facts, counts, pictures, states, unread = [], [], [], [], Counter()
    rows = [0] * len(sources)
    compare = functools.partial(look, sources=list(sources), by=by, embedding=embedding)
    for index, chunk, looked in each_chunk(sources, compare, workers, progress):
        rows[index] += len(looked.state)
        file.write(looked.texts.tobytes())
        facts.append(looked.facts)
        counts.append(looked.counts)
        pictures.append(looked.pictures)
        states.append(looked.state)
        unread += looked.unread

    for source, count in zip(sources, rows, strict=True):
        if not count:
            next(raw_rows(source))  # says why

    file.flush()
    all_counts, all_facts = np.concatenate(counts), np.concatenate(facts)
    alike = gathered(np.concatenate(pictures))
    starts = np.concatenate([[0], np.cumsum(all_counts, dtype=np.int64)])
    for place in range(int(all_counts.max(initial=0))):  # one by one, in their order
        has = np.flatnonzero(all_counts > place)
        all_facts[has] = (all_facts[has] ^ alike[starts[has] + place]) * np.uint64(0x9E3779B97F4A7C15)

    return all_facts, np.concatenate(states), np.concatenate([[0], np.cumsum(rows)]), unread


def _write_account(
    sources: Sequence[Source], starts: np.ndarray, instead: dict[int, tuple[int, float]], path: Path
) -> None:
    wanted = set(instead) | {kept for kept, _ in instead.values()}
    named: dict[int, tuple[str, str]] = {}
    for index, source in enumerate(sources):
        if any(starts[index] <= row < starts[index + 1] for row in wanted):
            for row in raw_rows(source):
                if (number := int(starts[index]) + row.number) in wanted:
                    named[number] = row.place, own_id(row.raw)

    with path.open("w", **TEXT) as file:
        for row, (kept, similarity) in instead.items():
            (place, id), (kept_place, kept_id) = named[row], named[kept]
            told = {"dropped": place, "id": id, "for": kept_place, "for_id": kept_id}
            file.write(json.dumps({**told, "similarity": round(similarity, 3)}, ensure_ascii=False) + "\n")


def _card(content: dict[str, Any], sha256: str) -> Card:
    outputs = content["outputs"]
    tables = [account(content["rows_in"], content["kept"], content["dropped"])]
    rows = [(one["dataset"], one["rows_in"], one["kept"], one["file"], f"`{one['sha256']}`") for one in outputs]
    tables.append(Table("Datasets", ("dataset", "rows", "kept", "file", "SHA-256"), rows, words=(3, 4)))
    rows = [(one["of"], one["stands_in"], one["rows"]) for one in content["for_whom"]]
    tables.append(Table("For whom", ("left out of", "stands in", "rows"), rows, words=(1,)))
    return Card(
        name=f"{len(outputs)} dataset{'s' * (len(outputs) > 1)} without duplicates",
        lead=f"{content['kept']:,} rows as they were, made by `virgo-factory data dedup` {__version__}. {ACCOUNT} names each row that "
        "was left out, and the one that stays in its place.",
        tables=tables,
        settings=content["settings"],
        sha256=sha256,
        notes=notes_of(content),
        command=content["command"],
        entry={Path(one["file"]).stem: one["entry"] for one in outputs},
        use="\n".join(f"`media_dir` of {one['dataset']}: `{one['media_dir']}`" for one in outputs),
    )


def notes_of(content: dict[str, Any]) -> list[str]:
    """Return the sentences that a reader of the card must know."""
    notes = []
    if rows := content["by_name"]:
        notes.append(f"{rows:,} rows have pictures that cannot be opened: these are the same where their names are.")

    if rows := content["not_compared"]:
        notes.append(f"{rows:,} rows give no example, were not compared and stay: virgo-factory data check says why.")

    return notes
