"""A raw row becomes an aligned row, or one with its reason; whatever it holds, Arrow can store the result."""

import json
from types import SimpleNamespace

import pytest

from virgo_factory.thought import LongThought


WHOLE = LongThought("Seven eights: 56.", "\\boxed{56}").render()


def row(**columns):
    return {"question": "7 * 8?", "combined_text": WHOLE} | columns


CASES = [
    # (raw row, id, reason, part of the detail)
    (row(id="a"), "a", "", ""),
    (row(id=0), "0", "", ""),
    (row(id=0, combined_text="It is 56."), "0", "no marker in the response", "line 1"),
    (row(combined_text=None), "", "combined_text is null", ""),
    (["a"], "", "the row is not an object", "list"),
    (None, "", "the row is not an object", "NoneType"),
    ({"id": "\ud83d", "a\udc00": 1}, "\\ud83d", "columns not known", "a\\udc00"),
    ({"id": {"a": "\ud83d"}}, "{'a': '\\ud83d'}", "columns not known", "id"),
    (row(question="\ud83d"), "", "text is not valid Unicode", "question"),
    (row(question="<image>?", image="gone.png"), "", "image missing", "no file"),
    (row(question="<image>?", image="/etc/passwd"), "", "image missing", "is outside media_dir"),
    (row(question="<image>?", image="\ud83d.png"), "", "image missing", "not valid Unicode"),
    (row(question="<image>?", image={"bytes": "x"}), "", "image is not a path", "found dict"),
    (row(question="<image>?", image="here.png"), None, "", ""),
]


@pytest.fixture
def convert(tmp_path):
    """Return a function from raw rows to the converted table, through datasets' own map."""
    from datasets import Dataset
    from llamafactory.hparams import DataArguments

    from virgo_factory.hooks.converter import ALIGNED_FEATURES, LongThoughtConverter

    (tmp_path / "here.png").write_bytes(b"a picture")

    def converted(rows, **settings):
        load_from = settings.pop("load_from", "file")
        attribute = SimpleNamespace(virgo_name="d", formatting="virgo_dt", load_from=load_from)
        converter = LongThoughtConverter(attribute, DataArguments(media_dir=str(tmp_path), **settings))
        table = Dataset.from_dict(
            {
                "raw": [json.dumps(raw) for raw in rows],
                "file": ["d.jsonl"] * len(rows),
                "line": list(range(1, len(rows) + 1)),
                "_number": list(range(len(rows))),
            }
        )
        return table.map(converter, remove_columns=table.column_names, features=ALIGNED_FEATURES)

    return converted


def test_every_row_comes_out_with_its_place_and_reason(convert, tmp_path):
    table = convert([case[0] for case in CASES])
    assert table["_row_line"][:] == [number + 1 for number in table["_row_number"]] == list(range(1, len(CASES) + 1))
    for found, (_, own_id, reason, detail) in zip(table, CASES, strict=True):
        assert found["_row_reason"] == reason
        assert detail in found["_row_detail"]
        assert own_id is None or found["_row_id"] == own_id
        assert (found["_row_dataset"], found["_row_file"]) == ("d", "d.jsonl")
        assert bool(found["_prompt"]) == bool(found["_response"]) == (not reason)

    assert table[len(CASES) - 1]["_images"] == [str(tmp_path / "here.png")]
    assert table[0]["_response"] == [{"role": "assistant", "content": WHOLE}]


def test_rows_of_a_hub_give_no_local_paths(convert):
    found = convert([row(question="<image>?", image="here.png")], load_from="hf_hub")[0]
    assert (found["_row_reason"], found["_row_detail"]) == ("image is not local", "here.png")


def test_malformed_keep_and_the_prefix(convert):
    found = convert([row(combined_text="It is 56.")], malformed="keep", question_prefix="virgo")[0]
    assert found["_response"][0]["content"] == "It is 56."
    assert found["_prompt"][0]["content"].endswith("\\boxed{}.\n7 * 8?")


def test_an_edited_prefix_makes_another_cache_key(tmp_path):
    from datasets.fingerprint import Hasher
    from llamafactory.hparams import DataArguments

    from virgo_factory.hooks.converter import LongThoughtConverter

    path = tmp_path / "mine.txt"

    def key(text):
        path.write_text(text)
        attribute = SimpleNamespace(virgo_name="d", formatting="virgo_dt", load_from="file")
        return Hasher.hash(LongThoughtConverter(attribute, DataArguments(question_prefix=str(path))))

    assert key("Think.") == key("Think.") != key("Think twice.")
