"""A raw row becomes an aligned row, or one with its reason; whatever it holds, Arrow can store the result."""

import base64
import io
import json
import struct
import zlib
from types import SimpleNamespace

import pytest
from PIL import Image

from virgo_factory.core.thought import LongThought


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
    ({"id": {"a": "\ud83d"}}, "", "columns not known", "id"),
    (row(question="\ud83d"), "", "text is not valid Unicode", "question"),
    (row(question="<image>?", image="gone.png"), None, "image missing", "no file"),
    (row(question="<image>?", image="/etc/passwd"), None, "image outside media_dir", "is outside media_dir"),
    (row(question="<image>?", image="\ud83d.png"), None, "image missing", "not valid Unicode"),
    (row(question="<image>?", image={"bytes": "x"}), None, "image not understood", "found bytes: str"),
    (
        row(question="<image>?", image="https://example.org/a.png"),
        None,
        "image is a URL",
        "virgo-factory data materialize",
    ),
    (row(question="<image>?", image="here.png"), None, "", ""),
]


@pytest.fixture
def convert(hook, tmp_path):
    """Return a function from raw rows to the converted table, through datasets' own map."""
    import llamafactory.data  # noqa: F401  (before our hook files, as in a run)
    from datasets import Dataset
    from llamafactory.hparams import DataArguments

    Image.new("RGB", (3, 2)).save(tmp_path / "here.png")

    def converted(rows, entry=None, load_from="file", batch_size=1000, formatting="virgo_dt", **settings):
        attribute = SimpleNamespace(
            virgo_name="d",
            formatting=formatting,
            load_from=load_from,
            dataset_name="people/pictures",
            virgo_entry=entry or {},
        )
        converter = hook.LongThoughtConverter(attribute, DataArguments(media_dir=str(tmp_path), **settings))
        converter.store = str(tmp_path / "store")
        numbers = list(range(len(rows)))
        if load_from == "file":
            places = {"file": ["d.jsonl"] * len(rows), "line": [number + 1 for number in numbers]}
            table = Dataset.from_dict({"raw": [json.dumps(raw) for raw in rows], **places, "_number": numbers})
        else:
            table = Dataset.from_list(rows).add_column("_number", numbers)

        names = table.column_names
        table = table.with_format("arrow")
        table = table.map(
            converter, batched=True, batch_size=batch_size, remove_columns=names, features=hook.ALIGNED_FEATURES
        )
        return table.with_format(None)

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

    assert table[len(CASES) - 1]["_images"] == [f"/.{tmp_path}/here.png"]
    assert table[0]["_response"] == [{"role": "assistant", "content": WHOLE}]


OMR = {
    "id": "wemath-9",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "You are a helpful assistant. When the user asks a question, your response must include two parts: first, the reasoning process enclosed in <think>...</think> tags, then the final answer enclosed in <answer>...</answer> tags.Please provide a clear, concise response within <answer> </answer> tags that directly addresses the question."}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "here.png"}}, {"type": "text", "text": "Which net folds into a cube?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "<think>Net A has six faces.</think><answer>B</answer>"}]},
    ],
}  # fmt: skip


def test_the_template_says_in_which_tags_a_response_is_trained_on(convert):
    (found,) = convert([OMR], formatting="long_thought", template="omr")
    assert found["_response"] == [
        {"role": "assistant", "content": "<think>Net A has six faces.</think><answer>B</answer>"}
    ]
    assert (found["_prompt"][0]["content"], found["_system"]) == ("<image>Which net folds into a cube?", ""), (
        "the template's"
    )
    (virgo,) = convert([OMR], formatting="long_thought", template="virgo")
    assert virgo["_response"][0]["content"].startswith("<|begin_of_thought|>")
    explained = {"question": "q", "response": "<think>a</think>It is <answer>B</answer>."}  # MMFineReason's
    for template, expected in (
        ("think_qwen3_vl", "<think>\na\n</think>\n\nIt is <answer>B</answer>."),
        ("omr", "<think>a</think><answer>It is B.</answer>"),
    ):
        (row,) = convert([explained], formatting="long_thought", template=template)
        assert row["_response"][0]["content"] == expected

    cut = {"question": "q", "response": WHOLE, "assistant_prefix": WHOLE[: WHOLE.index("<|end_of_thought|>") - 3]}
    (row,) = convert([cut], formatting="long_thought", template="omr")
    assert row["_response"][0]["content"].startswith(row["_assistant_prefix"]) and row["_assistant_prefix"].startswith(
        "<think>"
    )


def picture(size=(3, 2), kind="PNG"):
    """Return the bytes of a picture."""
    content = io.BytesIO()
    Image.new("RGB", size, "red").save(content, kind)
    return content.getvalue()


def test_pictures_in_the_row_become_files_once(convert, tmp_path):
    content = picture()
    pictures = [
        {"bytes": content, "path": None},
        {"bytes": content, "path": "../../a.png"},
        {"bytes": picture((5, 5))},
    ]
    found = convert([row(question="<image>?", images=[one]) for one in pictures], load_from="hf_hub")
    assert found["_row_reason"][:] == [""] * 3
    paths = [images[0] for images in found["_images"]]
    assert paths[0] == paths[1] != paths[2]
    assert [Image.open(path).size for path in paths] == [(3, 2), (3, 2), (5, 5)]
    assert sorted(f"/.{path}" for path in (tmp_path / "store").rglob("*.png")) == sorted(set(paths))

    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    again = convert([row(question="<image><image>?", images=[uri, "here.png"])])[0]
    assert again["_images"] == [paths[0], f"/.{tmp_path}/here.png"]


def png_header(width, height):
    """Return the beginning of a PNG of any size: enough for its header to be read."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT"


BAD_PICTURES = [
    # (what the row gives, reason, part of the detail)
    (b"a picture", "image unreadable", "9 bytes: not an image that Pillow knows"),
    (b"", "image unreadable", "0 bytes: not an image"),
    (picture()[:20], "image unreadable", ""),
    (png_header(100_000, 100_000), "image too large", "178956970 pixels"),
    (png_header(12_000, 15_000), "image too large", "178956970 pixels"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "image unreadable", "EPS"),
]


@pytest.mark.parametrize(("content", "reason", "detail"), BAD_PICTURES)
def test_pictures_that_are_none(convert, content, reason, detail, tmp_path):
    (found,) = convert([row(question="<image>?", images=[{"bytes": content}])], load_from="hf_hub")
    assert found["_row_reason"] == reason
    assert detail in found["_row_detail"]
    (tmp_path / "bad.png").write_bytes(content)
    (found,) = convert([row(question="<image>?", images=["bad.png"])])
    assert found["_row_reason"] == reason
    assert not (tmp_path / "store").exists()


def test_files_of_a_hub_dataset(convert, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    snapshot = cache / "datasets--people--pictures" / "snapshots" / ("a" * 40)
    (snapshot / "sub").mkdir(parents=True)
    (snapshot / "sub" / "b.png").write_bytes(picture())
    (snapshot.parents[1] / "secret.png").write_bytes(picture())
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    rows = [
        row(question="<image>?", image=image)
        for image in ("here.png", "sub/b.png", "gone.png", "../../secret.png", str(tmp_path / "here.png"), "a\0b")
    ]
    found = convert(rows, load_from="hf_hub")
    assert found["_row_reason"][:] == ["", "", "image missing", *["image outside media_dir"] * 2, "image missing"]
    assert found["_images"][0] == [f"/.{tmp_path}/here.png"]
    assert found["_images"][1] == [f"/.{snapshot}/sub/b.png"]
    assert "hf download people/pictures --repo-type dataset" in found["_row_detail"][2]


def test_a_wrong_entry_names_dataset_and_values(convert):
    with pytest.raises(ValueError, match=r"dataset d: responses: 'some'.*shortest, all"):
        convert([row()], entry={"responses": "some"})


def test_malformed_keep_and_the_prefix(convert):
    found = convert([row(combined_text="It is 56.")], malformed="keep", question_prefix="virgo")[0]
    assert found["_response"][0]["content"] == "It is 56."
    assert found["_prompt"][0]["content"].endswith("\\boxed{}.\n7 * 8?")


def test_an_edited_prefix_makes_another_cache_key(hook, tmp_path):
    from datasets.fingerprint import Hasher
    from llamafactory.hparams import DataArguments

    path = tmp_path / "mine.txt"

    def key(text):
        path.write_text(text)
        attribute = SimpleNamespace(virgo_name="d", formatting="virgo_dt", load_from="file", virgo_entry={})
        return Hasher.hash(hook.LongThoughtConverter(attribute, DataArguments(question_prefix=str(path))))

    assert key("Think.") == key("Think.") != key("Think twice.")
