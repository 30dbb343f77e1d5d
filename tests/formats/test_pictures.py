"""Pictures of a row are read from any column and any tag that says what it is; what is not certain is a reason, never text."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats import Options, RejectedRow, read_row
from virgo_factory.formats.pictures.values import is_blank


WHOLE = LongThought("I look: one.", "\\boxed{1}").render()


def png(size=(20, 20)):
    buffer = io.BytesIO()
    Image.effect_noise(size, 50).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()
BASE64 = base64.b64encode(PNG).decode()
URI = f"data:image/png;base64,{BASE64}"
OBJECT = {"bytes": PNG, "path": None}
OTHER = png((24, 20))


def read(columns=None, **row):
    (part,) = read_row(
        {"question": "How many?", "response": WHOLE} | row, "long_thought", Options(columns=columns or {})
    ).parts
    return part


READ = [
    # (columns of the row, its picture)
    *[
        ({name: "a.png"}, "a.png")
        for name in (
            *("image_path", "img", "img_path", "image_1", "image1", "image_file", "image_filename", "decoded_image"),
            *("picture", "pictures", "photo", "path", "figure", "diagram", "screenshot", "imagePath", "image-path", "Image"),
            *("file_name", "filename", "query_image", "image_paths", "image_list", "img_1_path", "IMG"),
        )
    ],
    ({"image_file": "no suffix"[:2]}, "no"),
    ({"image_path": "train/000012"}, "train/000012"),
    ({"photo": "x/A.JPG"}, "x/A.JPG"),
    ({"image_url": "https://example.org/a.png"}, "https://example.org/a.png"),
    ({"image_url": {"url": "a.png"}}, "a.png"),
    ({"imgs": ["a.png"]}, "a.png"),
    ({"images": [["a.png"]]}, "a.png"),
    ({"images": '["a.png"]'}, "a.png"),
    ({"images": "['a.png']"}, "a.png"),
    ({"images": [None, "a.png", ""]}, "a.png"),
    ({"images": {"front": "a.png", "back": None}}, "a.png"),
    ({"image": {"url": URI}}, URI),
    ({"img": URI}, URI),
    ({"picture": BASE64}, URI),
    ({"image": {"bytes": BASE64, "path": None}}, URI),
    ({"image": {"base64": BASE64}}, URI),
    ({"image": OBJECT}, OBJECT),
    ({"decoded_image": OBJECT}, OBJECT),
    ({"pictures": {"bytes": [PNG], "path": [None]}}, OBJECT),
    ({"image_bytes": PNG}, PNG),
    ({"image": list(PNG)}, PNG),
    ({"image": {"bytes": list(PNG)}}, PNG),
    ({"images": np.array(["a.png"])}, "a.png"),
    # of several columns that hold the same picture the one that can be read here
    ({"image": "images/1.jpg", "decoded_image": OBJECT}, OBJECT),
    ({"image_url": "https://example.org/a.png", "image_path": "a.png"}, "a.png"),
    ({"img": "x/a.png", "picture": "y/a.png"}, "x/a.png"),
    ({"image": "a.png", "image_1": "a.png"}, "a.png"),
    ({"images": ["a.png"], "thumbnail": "t.png", "path": "p.png"}, "a.png"),
    ({"image": "a.png", "figure": "x/a.png"}, "a.png"),
    ({"image": "a.png", "image_paths": ["a.png"]}, "a.png"),
    ({"image": "images/1.png", "file_name": "/data/train/1.png"}, "images/1.png"),
    ({"image": "images/1.png", "metadata": {"image_path": "train/1.png"}}, "images/1.png"),
    ({"image": "./x/1.png", "figure": "x\\1.PNG"}, "./x/1.png"),
    ({"image": OBJECT, "imgname": "two_col_4.png"}, OBJECT),
    ({"image": OBJECT, "file_name": "4.png"}, OBJECT),
    ({"image": OBJECT, "image_base64": base64.b64encode(OTHER).decode()}, OBJECT),
    ({"image": OBJECT, "resized_image": {"bytes": OTHER, "path": None}}, OBJECT),
    ({"image": "4.png", "question_image": OBJECT}, OBJECT),
    ({"images": ["a.png"], "original_path": "b.png"}, "a.png"),
    ({"image": "a.png", "reference": "https://example.org/b.png"}, "a.png"),
    ({"image": "a.png", "reference": "x/a.png", "source_file": "b.png", "page_1": "p1.png"}, "a.png"),
    ({"image": "a.png", "mask": "m.png"}, "a.png"),
    ({"images": ["a.png"], "image": "x/a.png"}, "a.png"),
    ({"image": "b.png", "images": [OBJECT]}, OBJECT),
    ({"img": "a.png", "imgs": ["a.png"]}, "a.png"),
    ({"image": "a.png", "scan": "x/a.png"}, "a.png"),
    ({"image": "a.png", "image_path": "x/a.png"}, "a.png"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "picture"), READ, ids=[" ".join(row) for row, _ in READ])
def test_a_column_that_says_what_it_is(row, picture):
    part = read(**row)
    assert (part.question, part.images) == ("<image>\nHow many?", (picture,))


BLANK = [
    None, "", " ", [], [""], [None], [[]], [[None]], {}, "[]", "[null]", "null", "None", "nan", "NaN", "N/A", float("nan"),
    {"bytes": None, "path": None}, [{"bytes": None, "path": None}], {"bytes": None, "path": ""}, False,
]  # fmt: skip


@pytest.mark.parametrize("value", BLANK, ids=repr)
@pytest.mark.parametrize("column", ["images", "image", "image_path", "img", "image_1", "videos", "audio", "asset"])
def test_every_spelling_of_nothing_is_no_picture(column, value):
    part = read(**{column: value})
    assert (part.question, part.images) == ("How many?", ())


def test_what_is_something():
    assert not any(map(is_blank, ["a.png", 0, 1, "none.png", b"x", {"path": "a"}, [None, "a"], True]))


TEXT = [
    {"url": "https://example.org/x"},
    {"source": "https://example.org/index.html"},
    {"image_features": ["red", "round"]},
    {"question": "Why does docker run $IMAGE_NAME fail, and ${IMG} not?"},
    {"question": "<figure>\n<p>x</p>\n</figure>\nWhat does it show?"},
    {"question": "As [Figure] 2 of __IMAGES__ says, 50%IMAGE?"},
    {"license": "cc-by.png"},
    {"id": "clevr-1.png"},
    {"answer": "a.png"},
    {"reference_answer": "a.png"},
    {"source_text": "a.png"},
    {"page_1": "12"},
    {"source_file": "book.json"},
    {"code_file": "plot.png"},
    {"note": "see a.png"},
    {"asset": "what is drawn in a.png"},
    {"code": "plt.savefig('a.png')"},
    {"file": "main.py"},
    {"path": "src/main.py"},
    {"figure": "A triangle ABC with AB = 3."},
    {"diagram": "none needed"},
    {"image_caption": "A red cat."},
    {"image_count": 0},
    {"has_image": False},
    {"tools": "[]"},
    {"tools": []},
    {"question": "Save the plot as a.png, see https://example.org/b.png."},
    {"question": 'What does <div><img src="logo.png"></div> show?'},
    {"question": 'In HTML, what is <img src="logo.png"> for?'},
    {"question": "What does `<img>` do?"},
    {"question": "What does <img></img> do?"},
    {"question": "What is '<fake_token_around_image>' in Idefics, and `<image_soft_token>`?"},
    {"question": "In cout<<img, what is [image: link]?"},
    {"question": "Is Vec<image_patch> copied, and row_1_col_1?"},
    {"question": "Why is arr[image] slower than x[img]?"},
    {"question": "The README says ![logo](logo.png). Why?"},
    {"question": "How is `![](a.png)` shown?"},
    {"question": "Why does this not compile? \\includegraphics{a.png}"},
    {"question": "What is vec![a](b.png)?"},
    {"question": "Is ![x](y) true?"},
    {"question": "def f(image): return {image}"},
    {"question": "What is the type of `List<Image>`?"},
    {"question": "How is <Image /> loaded in Next.js?"},
    {"question": "Explain:\n```xml\n<image>\n```".replace("<image>", "<Image>")},
]


@pytest.mark.parametrize("row", TEXT, ids=lambda row: "/".join(f"{name} {value}" for name, value in row.items())[:50])
def test_ordinary_text_rows_stay_as_they_are(row):
    part = read(**row)
    assert (part.question, part.images) == (row.get("question", "How many?"), ())


INSIDE = [
    # (columns, place of the picture)
    ({"data": {"input": {"image": "a.png"}}}, "data.input.image"),
    ({"source": {"file": "a.png"}}, "source.file"),
    ({"metadata": {"images": ["a.png"]}}, "metadata.images"),
    ({"metadata": {"extra": {"images": ["a.png"]}}}, "metadata.extra.images"),
    ({"info": {"a": {"b": {"c": {"img_path": "x/a.png"}}}}}, "info.a.b.c.img_path"),
    ({"extra_info": {"image_path": "train/1"}}, "extra_info.image_path"),
    ({"source": '{"file": "a.png"}'}, "source.file"),
    ({"meta": '{"sample": [{"image": "a.png"}]}'}, "meta.sample.image"),
    ({"steps": [{"text": "Look."}, {"image": "a.png"}]}, "steps.image"),
    ({"input": {"image": OBJECT}}, "input.image"),
    ({"context": {"figures": [{"path": "a.png"}]}}, "context.figures"),
    ({"data": [{"type": "image", "image": "a.png"}]}, "data.image"),
    ({"content": [{"type": "image_url", "image_url": {"url": "a.png"}}]}, "content.image_url"),
    ({"url": {"thumbnail": URI}}, "url.thumbnail"),
    ({"options": ["a.png", "b.png"]}, "options"),
    ({"choices": [{"image": "a.png"}, {"image": "b.png"}]}, "choices.image"),
    ({"options": {"A": "a.png", "B": "b.png"}}, "options.A, options.B"),
    ({"choices": {"label": ["A", "B"], "text": ["x/a.jpg", "x/b.jpg"]}}, "choices.text"),
    ({"options": ["none of these", "a.png"]}, "options"),
    ({"options": [OBJECT, OBJECT]}, "options"),
    ({"option_a": "a.png", "option_b": "b.png"}, "option_a, option_b"),
    ({"A": "a.png", "B": "b.png"}, "A, B"),
]


@pytest.mark.parametrize(("row", "place"), INSIDE, ids=[place for _, place in INSIDE])
def test_a_picture_inside_of_an_object_or_among_the_options_is_a_reason_whose_line_works(row, place):
    for beside in ({}, {"messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": WHOLE}]}):
        part = read(**row, **beside)
        assert isinstance(part, RejectedRow) and part.reason == "a picture in an unknown column"
        assert f'"columns": {{"images": "{place}"}}' in part.detail

    part = read({"images": place, "question": "question"}, **row)
    assert part.images and part.question.startswith("<image>")
    part = read({"images": "images", "question": "question"}, **row)
    assert part.images == ()


def test_pictures_inside_of_an_object_that_are_those_of_the_row_are_the_same():
    assert read(image="x/a.png", metadata={"image": "a.png"}).images == ("x/a.png",)
    part = read(image="a.png", options=["b.png", "c.png"])
    assert '"columns": {"images": "image, options"}' in part.detail


NOT_INSIDE = [
    {"metadata": {"row_id": "train_1", "source": "a.png", "tokens": 7, "license": "x"}},
    {"metadata": {"image": "a red cat", "width": 3}},
    {"code": {"main.py": "plt.savefig('a.png')"}},
    {"messages_raw": '{"note": "see a.png"}'},
    {"info": {"text": ["a.png"], "url": "https://example.org/a.png"}},
    {"answer": '{"file": "a.png"}'},
    {"tools": []},
    {"history": []},
    {"scores": [[0.1, 0.2]], "boxes": [[1, 2, 3, 4]] * 20},
    {"params": {"path": "src/main.py", "n": 3}, "stats": {"line_count": 2}},
]


@pytest.mark.parametrize("row", NOT_INSIDE, ids=lambda row: next(iter(row)))
def test_objects_without_pictures_are_none(row):
    part = read({"question": "question"}, **row)
    assert (part.question, part.images) == ("How many?", ())


REFUSED = [
    # (columns, reason, part of the detail)
    ({"video_url": "https://example.org/watch?v=1"}, "a video, which is not trained on", "video_url holds"),
    ({"audio_url": "https://example.org/1"}, "an audio, which is not trained on", "audio_url"),
    ({"speech": "https://example.org/1"}, "an audio, which is not trained on", "speech"),
    ({"sound": {"array": [0.1], "sampling_rate": 16000}}, "an audio, which is not trained on", "sound"),
    ({"sample": {"array": [0.1], "sampling_rate": 16000}}, "an audio, which is not trained on", "sample"),
    ({"voice": b"RIFF1234WAVEfmt "}, "an audio, which is not trained on", "voice"),
    ({"blob": b"RIFF1234AVI LIST"}, "a video, which is not trained on", "blob"),
    ({"blob": {"bytes": b"\0\0\0\x20ftypisom", "path": None}}, "a video, which is not trained on", "blob"),
    ({"wav": [0.1, 0.2]}, "an audio, which is not trained on", "wav"),
    ({"pdf": "a.pdf"}, "a document, which is not trained on", "pdf holds 'a.pdf'"),
    ({"document": "x/a.PDF"}, "a document, which is not trained on", "document"),
    ({"pdf_url": "https://example.org/a.pdf?x=1"}, "a document, which is not trained on", "pdf_url"),
    ({"file": b"%PDF-1.7"}, "a document, which is not trained on", "file"),
    ({"point_cloud": "a.ply"}, "a model in space, which is not trained on", "point_cloud"),
    ({"media": "https://example.org/1"}, "a medium of a kind that is not told, which is not trained on", "media"),
    ({"media": {"type": "video", "url": "x/1"}}, "a video, which is not trained on", "media"),
    ({"media": [{"type": "audio", "path": "x/1"}]}, "an audio, which is not trained on", "media"),
    ({"media": "https://example.org/a.png"}, "a picture in an unknown column", '"columns": {"images": "media"}'),
    ({"metadata": {"video": "a.mp4"}}, "a video, which is not trained on", "metadata.video"),
    ({"data": {"input": {"clip": "x/a.mov"}}}, "a video, which is not trained on", "data.input.clip"),
    ({"asset": "a.svg"}, "a picture in an unknown column", "asset"),
    ({"asset": "a.png"}, "a picture in an unknown column", '"columns": {"images": "asset"}'),
    ({"chart": OBJECT}, "a picture in an unknown column", '"columns": {"images": "chart"}'),
    ({"frames": ["a.png", "b.png"]}, "a picture in an unknown column", "frames holds 'a.png'"),
    ({"image_id": "COCO_1.jpg"}, "a picture in an unknown column", '"columns": {"images": "image_id"}'),
    ({"blob": PNG}, "a picture in an unknown column", "blob holds bytes"),
    ({"page": OBJECT}, "a picture in an unknown column", '"columns": {"images": "page"}'),
    ({"input": "s.png"}, "a picture in an unknown column", '"columns": {"images": "input"}'),
    ({"query": "photos/a b.jpg"}, "a picture in an unknown column", '"columns": {"images": "query"}'),
    ({"input": [OBJECT]}, "a picture in an unknown column", '"columns": {"images": "input"}'),
    ({"input": {"bytes": None, "path": "a.png"}}, "a picture in an unknown column", "input holds 'a.png'"),
    ({"source": URI}, "a picture in an unknown column", '"columns": {"images": "source"}'),
    ({"caption": BASE64}, "a picture in an unknown column", '"columns": {"images": "caption"}'),
    ({"left_view": "a.png", "right_view": "b.png"}, "a picture in an unknown column", '"columns": {"images": "left_view, right_view"}'),
    ({"blob": BASE64}, "a picture in an unknown column", '"columns": {"images": "blob"}'),
    ({"metadata": {"image": "a.png"}}, "a picture in an unknown column", '"columns": {"images": "metadata.image"}'),
    ({"img": "a.png", "figure": "b.png"}, "pictures in several columns", '"columns": {"images": "img, figure"}'),
    ({"image": "a.png", "image_1": "b.png"}, "pictures in several columns", '"columns": {"images": "image, image_1"}'),
    ({"image": "a.png", "image_path": "b.png"}, "pictures in several columns", '"columns": {"images": "image, image_path"}'),
    ({"image": "a.png", "scan": "b.png"}, "pictures in several columns", '"columns": {"images": "image, scan"}'),
    ({"images": ["a.png"], "image": "b.png"}, "pictures in several columns", '"columns": {"images": "images, image"}'),
    ({"img": "a.png", "imgs": ["b.png"]}, "pictures in several columns", '"columns": {"images": "img, imgs"}'),
    *(
        (row, "pictures in several columns", f'"columns": {{"images": "{", ".join(row)}"}}')
        for row in (
            {"image": "a.png", "figure": "b.png"},
            {"image": "a.png", "diagram": OBJECT},
            {"image": "images/1.png", "figure": "figures/1.png"},
            {"image": "images/1.png", "scan": "scans/1.png"},
            {"image": "a.png", "img_path": "b.png"},
            {"image": "a.png", "depth": "d.png"},
            {"image": "a.png", "reference": "b.png"},
            {"image": "a.png", "reference": ["b.png"]},
            {"image": "a.png", "path": "p.png"},
            {"image": "a.png", "context_image": OBJECT},
            {"image": "a.png", "image_2": "b.png", "figure": "b.png", "photo": "c.png"},
            {"image": OBJECT, "figure": "b.png"},
            {"image": OBJECT, "picture": {"bytes": OTHER, "path": None}},
            {"image": OBJECT, "reasoning_image_1": {"bytes": OTHER, "path": None}},
            {"image": OBJECT, "page": OTHER},
            {"image": {"bytes": PNG, "path": "1.png"}, "raw_image": {"bytes": OTHER, "path": "2.png"}},
            {"images": ["a.png"], "figure": "b.png"},
            {"images": ["a.png"], "original_image": "b.png"},
        )
    ),
    ({"images": [[[1, 2], [3, 4]]]}, "image not understood", "a list of numbers"),
    ({"videos": ["clip.mp4"]}, "a video, which is not trained on", "videos holds 'clip.mp4'"),
    ({"video": "abc"}, "a video, which is not trained on", "video holds"),
    ({"video_path": "a.mp4", "image": "a.png"}, "a video, which is not trained on", "video_path"),
    ({"clip": "a.webm"}, "a video, which is not trained on", "clip"),
    ({"path": "a.mp4"}, "a video, which is not trained on", "path"),
    ({"images": ["a.mp4"]}, "a video, which is not trained on", "images"),
    ({"audios": ["clip.wav"]}, "an audio, which is not trained on", "audios"),
    ({"audio": {"bytes": b"RIFF", "path": None}}, "an audio, which is not trained on", "audio"),
    ({"speech": "a.flac"}, "an audio, which is not trained on", "speech"),
    ({"question": "<video 1> What?"}, "a video, which is not trained on", "<video 1>"),
    ({"question": "<|audio_1|> What?"}, "an audio, which is not trained on", "<|audio_1|>"),
    ({"question": "Talk about <image>."}, "<image> and images do not match", "1 <image> and 0 images"),
    ({"question": "<image 1> How many?"}, "a picture tag without a picture", "<image 1>"),
    ({"question": "<IMAGE>\nHow many?"}, "a picture tag without a picture", "<IMAGE>"),
    ({"question": "<|image_1|>\nHow many?"}, "a picture tag without a picture", "<|image_1|>"),
    ({"question": "<img>\nHow many?"}, "a picture tag without a picture", "<img>"),
    ({"question": "<IMG_CONTEXT>\nHow many?"}, "a picture tag without a picture", "<IMG_CONTEXT>"),
    ({"question": "Is it <|media_pad|>?"}, "a picture tag without a picture", "<|media_pad|>"),
    ({"messages": [{"role": "user", "content": [{"type": "image", "index": 1}, {"type": "image", "index": 0}]}]}, "pictures out of order", "[1, 0]"),
    ({"attachments": ["a.png"]}, "a picture in an unknown column", "attachments holds 'a.png'"),
    ({"attachments": [{"type": "image", "url": "https://example.org/x.png"}]},
     "a picture in an unknown column", '"columns": {"images": "attachments"}'),
    ({"messages": [{"role": "user", "content": "Q?", "attachments": [{"url": "https://example.org/x.png"}]}]},
     "a picture in an unknown column", '"columns": {"images": "messages.attachments"}'),
    ({"url": "https://example.org/x.png"}, "a picture in an unknown column", '"columns": {"images": "url"}'),
    ({"link": "pics/x.jpg"}, "a picture in an unknown column", "pics/x.jpg"),
    *(
        ({name: value}, "a picture in an unknown column", f'"columns": {{"images": "{name}"}}')
        for name in ("page", "source", "origin", "reference", "index", "key", "page_1", "page_number", "key_frame", "source_file")
        for value in ("x/a.png", ["a.png"], '["a.png"]', {"bytes": BASE64}, {"path": "a.png"}, {"url": "https://example.org/a.png"})
    ),
    ({"source": "https://example.org/x.webp?w=9"}, "a picture in an unknown column", "source holds"),
    ({"pixel_values": [[[0.1, 0.2]]]}, "a picture as numbers", "pixel_values"),
    ({"image_embeds": [0.5] * 9}, "a picture as numbers", "image_embeds"),
    *(
        ({"question": f"{tag}\nHow many?"}, "a picture tag without a picture", tag)
        for tag in (
            *("<fig1>", "<fig>", "<figure>", "<diagram 2>", "<chart>", "<visual>", "$IMAGE", "${IMAGE}", "$IMAGE$"),
            *("__IMAGE__", "%IMAGE%", "@image1", "[FIGURE]"),
        )
    ),
    ({"question": "[IMG]\nHow many?"}, "a picture tag without a picture", "[IMG]"),
    ({"question": '<img src="a.png"> How many?'}, "a picture tag without a picture", "a.png"),
    ({"question": "![](https://example.org/a)\nHow many?"}, "a picture tag without a picture", "https://example.org/a"),
    ({"question": "\\includegraphics{figs/a} How many?"}, "a picture tag without a picture", "figs/a"),
    ({"question": "<Img><ImageHere></Img>How many?"}, "a picture tag without a picture", "<ImageHere>"),
    ({"question": "See ![fig. 1](z.png) How?", "image": "a.png"}, "a picture tag names another picture", "z.png"),
    ({"question": "\\includegraphics{z} How?", "image": "a.png"}, "a picture tag names another picture", "{z}"),
    ({"question": "<image 2> How many?", "image": "a.png"}, "a picture tag names a picture that is missing", "<image 2>"),
    ({"question": "<image 1> <image 3>?", "images": ["a.png", "b.png"]}, *("a picture tag names a picture that is missing", "the row has 2")),
    *(
        ({"question": question, "image": "a.png"}, "a picture tag names a picture that is missing", "2")
        for question in (
            *("Compare <image_1> and <image_2>.", "<image1>\n<image2>", "<|image_1|> or <|image_2|>?", "<image>\nIn <image 2>?"),
            *("Which of (A) <image1> (B) <image2> (C) <image3>?", "<image_2>, <image_3>?"),
        )
    ),
    ({"question": "<img>b.png</img> How many?", "image": "a.png"}, *("a picture tag names another picture", "the row has 'a.png'")),
    ({"question": "<image 2> <image 1> What is in image 2?", "images": ["a.png", "b.png"]}, *("picture tags out of order", "'image 2'")),
    ({"question": "<image 1>?", "images": ["a.png", "b.png"]}, "<image> and images do not match", "1 <image> and 2"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "reason", "detail"), REFUSED, ids=[f"{case[0]}"[:60] for case in REFUSED])
def test_what_is_not_certain_is_a_reason_with_its_remedy(row, reason, detail):
    part = read(**row)
    assert isinstance(part, RejectedRow)
    assert part.reason == reason and detail in part.detail


@pytest.mark.parametrize("row", [row for row, _, detail in REFUSED if detail.startswith('"columns"')], ids=repr)
def test_with_the_line_that_a_reason_prints_all_its_pictures_are_read(row):
    line = re.search(r'"columns": {"images": "([^"]+)"}', read(**row).detail)[1]
    part = read({"images": line, "question": "question"}, **row)
    assert part.question.count("<image>") == len(part.images) >= len(line.split(", "))


MAPPED = [
    ({"asset": "a.png"}, "images", ()),
    ({"img": "a.png", "figure": "b.png", "question": "<image><image>?"}, "img, figure", ("a.png", "b.png")),
    ({"img": "a.png", "figure": "b.png"}, "figure", ("b.png",)),
    ({"a.b": "a.png"}, "a.b", ("a.png",)),
    ({"asset": ""}, "asset", ()),
    ({"view0": "a.png", "view1": "b.png"}, "view0, view1", ("a.png", "b.png")),
]


@pytest.mark.parametrize(("row", "column", "pictures"), MAPPED)
def test_the_columns_line_that_a_reason_prints_works(row, column, pictures):
    assert read({"images": column}, **row).images == pictures


UNREAD = [
    ({"image": "a.png", "scan": None}, "scan"),
    ({"image": "a.png"}, "images"),
    ({"image": "a.png"}, "imges"),
    ({"asset": "a.png"}, "assett"),
    ({"image": "a.png"}, "left, right"),
    ({"path": "a.png"}, "imges"),
]


@pytest.mark.parametrize(("row", "column"), UNREAD)
def test_a_column_line_that_leaves_out_the_picture_of_a_row_is_a_reason(row, column):
    part = read({"images": column}, **row)
    assert isinstance(part, RejectedRow)
    assert part.reason in ("a picture in a column that is not read", "a picture in an unknown column")
    assert all(name in part.detail for name in (*row, "a.png")) and "NAME" not in part.detail


def test_the_line_for_pictures_that_are_left_out_works():
    part = read({"images": "images"}, image="a.png")
    assert '"columns": {"images": "images, image"}' in part.detail
    assert read({"images": "images, image"}, image="a.png").images == ("a.png",)
    assert read({"images": "images, image"}, scan="b.png").images == ()


NUMBERED = [
    ({"image_2": "b.png", "image_10": "j.png", "image_1": "a.png"}, ("a.png", "b.png", "j.png")),
    ({"image_1": "a.png", "image_2": None, "image_3": "c.png"}, ("a.png", "c.png")),
    ({"image": "a.png", "image_2": "b.png"}, ("a.png", "b.png")),
    ({"img2": "b.png", "img1": "a.png"}, ("a.png", "b.png")),
    ({"image_0": "a.png", "image_1": "b.png", "image_2": None}, ("a.png", "b.png")),
    ({"image_1": ["b.png"], "image_0": ["a.png"]}, ("a.png", "b.png")),
    ({"image_2": ["c.png"], "image_1": ["a.png", "b.png"]}, ("a.png", "b.png", "c.png")),
    ({"image": "a.png", "image_0": "a.png", "image_1": "b.png"}, ("a.png", "b.png")),
]


@pytest.mark.parametrize(("row", "pictures"), NUMBERED)
@pytest.mark.parametrize("places", [True, False])
def test_numbered_columns_are_in_the_order_of_their_numbers(row, pictures, places):
    part = read(**row, question="<image>" * len(pictures) * places + "?")
    assert part.images == pictures and part.question.count("<image>") == len(pictures)


def test_a_tag_names_the_column_of_its_number():
    part = read(image_1="a.png", image_3="c.png", question="<image 3> or <image 1>?")
    assert (part.question, part.images) == ("<image> or <image>?", ("c.png", "a.png"))


TAGS = [
    # (question, pictures, question as it is trained on, pictures in that order)
    ("<image 1> How?", "a", "<image> How?", "a"),
    ("&lt;image&gt; How?", "a", "<image> How?", "a"),
    ("< image > How?", "a", "<image> How?", "a"),
    ("<media> How?", "a", "<image> How?", "a"),
    ("<__media__> How?", "a", "<image> How?", "a"),
    ("[IMAGE_0] How?", "a", "<image> How?", "a"),
    ("[image 1] or [image 0]?", "ab", "<image> or <image>?", "ba"),
    ("See [3] and [image 0] of [image 7].", "a", "<image>\nSee [3] and [image 0] of [image 7].", "a"),
    ("In (image: x/a.png)?", "a", "In <image>?", "a"),
    ("Is an (image: anything) one?", "a", "<image>\nIs an (image: anything) one?", "a"),
    ("<image></image> How?", "a", "<image> How?", "a"),
    ("See <image>: what is &lt;image&gt;?", "a", "See <image>: what is &lt;image&gt;?", "a"),
    ("<IMAGE> How?", "a", "<image> How?", "a"),
    ("<Image1> How?", "a", "<image> How?", "a"),
    ("<image_1>, <image-2>?", "ab", "<image>, <image>?", "ab"),
    ("<image0> <image1>?", "ab", "<image> <image>?", "ab"),
    ("<|image|> How?", "a", "<image> How?", "a"),
    ("<|image_1|>\n<|image_2|> How?", "ab", "<image>\n<image> How?", "ab"),
    ("<ImageHere> How?", "a", "<image> How?", "a"),
    ("<image:2> or <image #1>?", "ab", "<image> or <image>?", "ba"),
    ("<image/> How?", "a", "<image> How?", "a"),
    ("[IMG] How?", "a", "<image> How?", "a"),
    ("<fig1> or <fig2>?", "ab", "<image> or <image>?", "ab"),
    ("<figure>\nHow?", "a", "<image>\nHow?", "a"),
    ("$IMAGE\nHow?", "a", "<image>\nHow?", "a"),
    ("[image 1] and [image 2]?", "ab", "<image> and <image>?", "ab"),
    ("{image} How?", "a", "<image> How?", "a"),
    ("<start_of_image>How?", "a", "<image>How?", "a"),
    ("<img><IMG_CONTEXT><IMG_CONTEXT></img>How?", "a", "<image>How?", "a"),
    ("<|media_start|>image<|media_content|><|media_pad|><|media_end|>How?", "a", "<image>How?", "a"),
    ("<|vision_start|><|image_pad|><|vision_end|>How?", "a", "<image>How?", "a"),
    ("In <img>a.png</img>?", "a", "In <image>?", "a"),
    ("In <img>x/a.png</img>?", "a", "In <image>?", "a"),
    ("In <img>a.png</img>?", "", "In <image>?", "a"),
    ("P 1: <img>b.png</img> P 2: <img>a.png</img> hm", "", "P 1: <image> P 2: <image> hm", "ba"),
    ("<image>a.png</image> How?", "", "<image> How?", "a"),
    ('See <img src="a.png" alt="x"> How?', "a", "See <image> How?", "a"),
    ("See ![fig. 1](x/a.png) How?", "a", "See <image> How?", "a"),
    ("See ![fig. 1](x/a.png) How?", "", "See <image> How?", ("x/a.png",)),
    ("![](b.png) ![](a.png) ![](b.png)?", "", "<image> <image> image 1?", "ba"),
    ("![](data:image/png;base64,AAAA) How?", "", "<image> How?", ("data:image/png;base64,AAAA",)),
    ("![](https://example.org/1) How?", "a", "<image> How?", "a"),
    ("\\includegraphics[width=2cm]{x/a.png}\nHow?", "", "<image>\nHow?", ("x/a.png",)),
    ("\\includegraphics*{figs/b} or \\includegraphics{figs/a}?", "ab", "<image> or <image>?", "ba"),
    ("<im_start><image><im_end>\nHow?", "a", "<image>\nHow?", "a"),
    ("<im_start><im_patch><im_patch><im_end>\nHow?", "a", "<image>\nHow?", "a"),
    ("<Img><ImageHere></Img>How?", "a", "<image>How?", "a"),
    ("<img><image></img>\nHow?", "a", "<image>\nHow?", "a"),
    ("<img> <image 2> </img> or <img><image 1></img>?", "ab", "<image> or <image>?", "ba"),
    ("<|vision_start|><image><|vision_end|>How?", "a", "<image>How?", "a"),
    ("<|vision_start|><|image_pad|><|image_pad|><|vision_end|>How?", "a", "<image>How?", "a"),
    ("<start_of_image><image><end_of_image>How?", "a", "<image>How?", "a"),
    ("<img>a.png</img> How?", "a", "<image> How?", "a"),
    ("(<image>./</image>)\nHow?", "a", "<image>\nHow?", "a"),
    ("In <image_start>[problem_image_2]<image_end>, <image_start>[problem_image_1]<image_end>?", "ab", "In <image>, <image>?", "ba"),
    ("What is shown?", "ab", "<image><image>\nWhat is shown?", "ab"),
    ("arr[img] How?", "a", "<image>\narr[img] How?", "a"),
    ("<image 2> or <image 1>? Compare <image 2>.", "ab", "<image> or <image>? Compare image 1.", "ba"),
    ("<image 1> How? In <image 1>.", "a", "<image> How? In image 1.", "a"),
    ("<image>\nIn <image 1>?", "a", "<image>\nIn image 1?", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "given", "asked", "seen"), TAGS)
def test_places_in_other_spellings(question, given, asked, seen):
    part = read(question=question, images=[f"{name}.png" for name in given])
    seen = seen if isinstance(seen, tuple) else tuple(f"{name}.png" for name in seen)
    assert (part.question, part.images) == (asked, seen)


def test_places_by_name_are_those_of_pictures_that_have_none():
    part = read(question="In ![](x.png) and ![](y.png)?", images=[PNG, OBJECT])
    assert (part.question, part.images) == ("In <image> and <image>?", (PNG, OBJECT))


ANSWER = {"role": "assistant", "content": WHOLE}
IDS = [
    ({"image_id": 123}, "image_id"),
    ({"image_id": 0}, "image_id"),
    ({"image_id": 123.0}, "image_id"),
    ({"image_id": "COCO_train2014_000000123"}, "image_id"),
    ({"img_id": "123"}, "img_id"),
    ({"coco_id": 123}, "coco_id"),
    ({"cocoid": 123}, "cocoid"),
    ({"imageId": "a1b2"}, "imageId"),
    ({"image_ids": [7, 8]}, "image_ids"),
    ({"image_index": 4}, "image_index"),
    ({"image_hash": "9f8e7d"}, "image_hash"),
    ({"image_sha256": "9f8e7d" * 9}, "image_sha256"),
    ({"image_md5": "9f8e7d"}, "image_md5"),
    ({"has_image": True}, "has_image"),
    ({"hasImage": 1}, "hasImage"),
    ({"num_images": 1}, "num_images"),
    ({"image_count": 2}, "image_count"),
    ({"img": 123}, "img"),
    ({"picture": "000123"}, "picture"),
    ({"metadata": {"image_id": "1"}}, "metadata.image_id"),
    ({"has_image": "True"}, "has_image"),
    ({"image_width": 640}, "image_width"),
    ({"image_size": [640, 480]}, "image_size"),
    ({"image_token_count": 256}, "image_token_count"),
    ({"modality": "image"}, "modality"),
    ({"modality": "text+image"}, "modality"),
    ({"modalities": ["text", "image"]}, "modalities"),
    ({"input_modality": "image_text"}, "input_modality"),
    ({"type": "Multi-modal"}, "type"),
]


@pytest.mark.parametrize(("row", "told"), IDS, ids=[f"{row}" for row, _ in IDS])
@pytest.mark.parametrize("question", ["What colour is the cat?", "What is shown in this image?"])
def test_a_row_with_the_id_of_a_picture_alone_is_a_reason_whatever_its_question_says(row, told, question):
    asked = {"messages": [{"role": "user", "content": question}, ANSWER]}
    for part in (read(**row, question=question), read_row({**row, **asked}, "long_thought").parts[0]):
        assert part.reason == "only the id of a picture" and part.detail.startswith(f"{told}. ")
        line = re.search(r'"columns": {"images": "([^"]+)"}', part.detail)[1]
        assert read({"images": line, "question": "question"}, **row, question=question).notes == ()


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"video_id": "v7", "start": 1, "end": 4}, "a video"),
        ({"youtube_id": "dQw4"}, "a video"),
        ({"clip_id": 7}, "a video"),
        ({"num_videos": 1}, "a video"),
        ({"metadata": {"videoId": "v7"}}, "a video"),
        ({"audio_id": "s7"}, "an audio"),
    ],
)
def test_a_row_with_the_id_of_another_medium_alone_is_a_reason_and_one_with_its_frames_is_not(row, what):
    part = read(**row)
    assert part.reason == f"only the id of {what}" and '"columns": {"images": "images"}' in part.detail
    assert read(**row, images=["frame_1.png", "frame_2.png"]).images == ("frame_1.png", "frame_2.png")


@pytest.mark.parametrize("none", ["NA", "na", "-", "--", "no_image", ["-"], "None"])
def test_a_column_of_pictures_may_say_that_there_is_none(none):
    assert read(image=none).images == read(images=[none]).images == ()
    assert read(image=none, picture="a.png").images == ("a.png",)
    assert read(options=["Na", "-", "K"]).question == "How many?\nA. Na\nB. -\nC. K"


@pytest.mark.parametrize(
    "question",
    ["In the figure below, what is AB?", "How many boxes does the picture show?", "如图，AB等于多少？", "Look at the image.",
     "The diagram shows two circles. How large are they?", "What is written on this screenshot?", "Based on the chart, who won?", "(Image attached) 1 + 1?",
     "Siehe Abbildung: 1 + 1?", "Wie lang ist AB in der Abbildung?", "D'après la figure ci-dessous, AB ?", "En la imagen, ¿cuánto es AB?", "Na figura, quanto é AB?",
     "図のように、ABは?", "다음 그림에서 AB는?", "Найдите AB на рисунке."],
)  # fmt: skip
def test_a_question_that_speaks_of_a_picture_is_told_where_the_row_has_none(question):
    assert [(found.code, found.severity) for found in row_findings(read(question=question), ())] == [
        ("no_picture", "warning")
    ]
    assert row_findings(read(question=question, image="a.png"), ()) == ()
    drawn = f"[asy] draw((0,0)--(1,1)); [/asy] {question}"
    assert row_findings(read(question=drawn), ()) == ()


@pytest.mark.parametrize(
    "question",
    ["What is the image of f?", "How large is the image of a star?", "Who invented photography?", "Figure out what 1 + 1 is.",
     "Write an HTML page in which the picture below the text is red.", "How many pictures fit on a page of 8?", "What is in the image of f?",
     "A chart is made of 12 lines.", "Ein Bild kostet 5 Euro.", "La imagen de f es R.", "Una figura de cera pesa 5 kg.", "図書館に本が何冊?", "Combien coûte une image ?", "Is it the second picture that she took?"],
)  # fmt: skip
def test_a_question_about_pictures_speaks_of_none(question):
    assert row_findings(read(question=question), ()) == ()


@pytest.mark.parametrize(
    "question",
    ["What is in the second image?", "Compare the two pictures.", "How do the third photo and the first differ?"],
)
def test_a_question_that_speaks_of_a_second_picture_is_told_where_the_row_has_one(question):
    (finding,) = row_findings(read(question=question, image="a.png"), ())
    assert (finding.code, finding.severity) == ("no_picture", "warning")
    assert row_findings(read(question=question, images=["a.png", "b.png"]), ()) == ()


@pytest.mark.parametrize(
    "question",
    [
        "What is in this image?",
        "How many of the two pictures on the wall are red?",
        "Who took the first photo?",
        "In the second row, what is red?",
    ],
)
def test_a_question_of_one_picture_is_not(question):
    assert row_findings(read(question=question, image="a.png"), ()) == ()


NO_IDS = [
    {"modality": "text"}, {"modalities": ["text"]}, {"type": "multiple_choice"}, {"meta": {"type": "image"}}, {"question_type": "visual puzzle"}, {"modality": "MRI"},
    {"has_image": "False"}, {"image_width": 0}, {"image_size": None}, {"image": {"type": "image", "path": None}}, {"type": 2}, {"data_type": "image"},
    {"image_id": None}, {"image_id": ""}, {"image_id": -1}, {"image_id": "none"}, {"image_ids": []}, {"figure": "A triangle."},
    {"diagram": "none needed"}, {"image_count": 0}, {"has_image": False}, {"num_images": None}, {"num_images": "0"},
    {"id": 123}, {"question_id": 123}, {"video_id": ""}, {"movie_id": 7}, {"id": "a.png"}, {"question_id": "a.png"},
    {"source": "book.v2"}, {"page": 3}, {"key": "c"}, {"index": "12"}, {"reference": "See fig. 3 of a.png"}, {"answer": "a.png"},
    *({"image": "a.png", **row} for row, _ in IDS if "img" not in row and "picture" not in row),
]  # fmt: skip


@pytest.mark.parametrize("row", NO_IDS, ids=repr)
def test_a_row_with_its_picture_or_without_the_id_of_one_is_not_told(row):
    assert not any("id of a picture" in note for note in read(**row, question="How many are in this image?").notes)


FAMILIES = [
    # (what a model's processor, or its paper, writes for a picture; how many pictures that are)
    ("<fake_token_around_image><image><fake_token_around_image>", 1),
    ("<fake_token_around_image><image><fake_token_around_image><image><fake_token_around_image>", 2),
    ("<fake_token_around_image><image><image><image><fake_token_around_image>", 1),
    ("<fake_token_around_image><row_1_col_1><image><image><fake_token_around_image><row_1_col_2><image><image>\n\n"
     "<fake_token_around_image><global-img><image><image><fake_token_around_image>", 1),
    ("<fake_token_around_image><global-img><image><image><fake_token_around_image>", 1),
    ("<image><unk><unk></image>", 1),
    ("<start_of_image><image_soft_token><image_soft_token><end_of_image>", 1),
    ("<start_of_image><image_soft_token><end_of_image><start_of_image><image_soft_token><end_of_image>", 2),
    ("<boi><image><eoi>", 1),
    ("<|image><|image|><image|>", 1),
    ("<|image_start|><|image|><|patch|><|patch|><|image_end|>", 1),
    ("<begin_of_image><image_placeholder><end_of_image>", 1),
    ("<im_start><im_patch><im_col><im_end>", 1),
    ("<|START_OF_IMG|><|IMG_PATCH|><|IMG_PATCH|><|END_OF_IMG|>", 1),
    ("<|IMAGE_START|><|image@placeholder|><|IMAGE_END|>", 1),
    ("<|img|><|imgpad|><|imgpad|><|endofimg|>", 1),
    ("<fim_prefix><|img|><fim_suffix>", 1),
    ("<<image>>", 1),
    ("[IMG][IMG]", 2),
    *(
        (tag, 1)
        for tag in (
            *("<fake_token_around_image>", "<image_soft_token>", "<img></img>", "<Img></Img>", "[IMG][/IMG]", "[<IMG_PLH>]"),
            *("<[IMG_PLHD]>", "[IMG][IMG][IMG_BREAK][IMG][IMG][IMG_END]", "<|image_start|><|image_end|>", "<image_start><image_end>"),
            *("<begin_of_image><end_of_image>", "<|vision_start|><|vision_end|>", "<im_start><im_end>", "<vila/image>", "<image_pad>"),
            *("<|image@placeholder|>", "<|imgpad|>", "<img_token>", "<img_placeholder>", "<picture_placeholder>", "<image_tokens>"),
            *("<image_patch>", "<image_embeds>", "<image_features>", "<visual_token>", "<|visual_token|>", "<screenshot>"),
            *("<<IMAGE_1>>", "<image_0001>", "<screenshot_1>", "[Image #1]", '<image src="a.png"/>', '<image path="a.png">'),
            *("<image: a.png>", "<|image:a.png|>", "[image: a.png]"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("tags", "count"), FAMILIES, ids=[tags[:70] for tags, _ in FAMILIES])
def test_tags_of_other_families_are_places_or_a_reason(tags, count):
    given = tuple(f"{name}.png" for name in "ab"[:count])
    for between in ("\n", "", " "):
        part = read(question=f"{tags}{between}How?", images=given)
        assert (part.question, part.images) == (f"{'<image>' * count}{between}How?", given)

    alone = read(question=f"{tags}\nHow?")
    if "a.png" in tags and "=" not in tags:
        assert alone.images == ("a.png",)
    else:
        assert alone.reason in (
            *("a picture tag without a picture", "<image> and images do not match"),
            "control token in the question",
        )


def test_a_tag_beside_a_picture_that_is_an_item_is_no_text():
    items = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "<image_soft_token>How? `<ImageHere>`"}]
    messages = [{"role": "user", "content": items}, ANSWER]
    (part,) = read_row({"messages": messages}, "long_thought").parts
    assert part.reason == "<image> and images do not match" and "2 <image> and 1 images" in part.detail


CHATS = [
    ([("How?", {"images": ["a.png"]})], {}, ["<image>\nHow?"], ("a.png",)),
    ([("<image>How?", {"image": "a.png"})], {}, ["<image>How?"], ("a.png",)),
    ([("How?", {"image_path": "a.png", "name": "Ann"})], {}, ["<image>\nHow?"], ("a.png",)),
    ([([{"image": "a.png"}, {"text": "How?"}], {})], {}, ["<image>How?"], ("a.png",)),
    ([([{"type": "input_image", "image_url": "a.png"}, {"type": "input_text", "text": "How?"}], {})], {},
     ["<image>How?"], ("a.png",)),
    ([([{"type": "image", "source": {"type": "base64", "data": BASE64}}, {"type": "text", "text": "How?"}], {})], {},
     ["<image>How?"], (URI,)),
    ([([{"type": "image"}, {"type": "text", "text": "How?"}], {})], {"image_path": "a.png"}, ["<image>How?"], ("a.png",)),
    ([([{"type": "image", "path": "a.png"}, {"type": "text", "text": "In <image 1>?"}], {})], {},
     ["<image>In image 1?"], ("a.png",)),
    ([([{"image": {"format": "png", "source": {"bytes": BASE64}}}, {"text": "How?"}], {})], {}, ["<image>How?"], (URI,)),
    ([("<image 2> A?", {}), ("<image 1> B?", {})], {"images": ["a.png", "b.png"]}, ["<image> A?", "<image> B?"],
     ("b.png", "a.png")),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "row", "questions", "pictures"), CHATS)
def test_pictures_of_messages(asked, row, questions, pictures):
    messages = [
        message for content, more in asked for message in ({"role": "user", "content": content, **more}, ANSWER)
    ]
    (part,) = read_row({"messages": messages} | row, "long_thought").parts
    assert ([turn.question for turn in part.turns], part.images) == (questions, pictures)


def test_mathvisions_pictures_are_one_that_numbers_several():
    for image in ("images/7.jpg", ["images/7.jpg"]):
        part = read(id="7", image=image, decoded_image=OBJECT, question="Which of (A) <image1> (B) <image2>?")
        assert (part.question, part.images) == ("<image>\nWhich of (A) image 1 (B) image 2?", (OBJECT,))


@pytest.mark.parametrize("first", ["<image_1> A?", [{"type": "image"}, {"type": "text", "text": "<image_1> A?"}]])
def test_a_number_beyond_the_pictures_of_all_turns_is_a_reason(first):
    messages = [{"role": "user", "content": first}, ANSWER, {"role": "user", "content": "<image_2> B?"}, ANSWER]
    (part,) = read_row({"messages": messages, "image": "a.png"}, "long_thought").parts
    assert part.reason == "a picture tag names a picture that is missing" and "<image_2>; the row has 1" in part.detail


@pytest.mark.parametrize("kind", [["text"], {"a": 1}, 7, True])
def test_an_item_whose_type_is_no_name_is_a_reason(kind):
    messages = [{"role": "user", "content": [{"type": kind, "text": "A?"}]}, ANSWER]
    (part,) = read_row({"messages": messages}, "long_thought").parts
    assert part.reason == "a message is not text"


def test_of_several_questions_each_says_which_pictures_it_is_about():
    messages = [{"role": "user", "content": "A?"}, ANSWER, {"role": "user", "content": "B?"}, ANSWER]
    (part,) = read_row({"messages": messages, "images": ["a.png", "b.png"]}, "long_thought").parts
    assert part.reason == "<image> and images do not match" and "one <image> for each picture" in part.detail


@pytest.mark.parametrize("tag", ["<image 1>", "![](a.png)", "\\includegraphics{a.png}", "<img>b.png</img>"])
@pytest.mark.parametrize("row", [{"image": "a.png"}, {}])
def test_a_tag_in_a_response_is_text(tag, row):
    part = read(response=WHOLE.replace("I look", f"In {tag}"), **row)
    assert f"In {tag}" in part.response.thought and part.images == tuple(row.values())


@pytest.mark.parametrize("name", ["rows_image_columns", "rows_no_image"])
def test_rows_of_the_fault_files(shared_data, name):
    path = shared_data.parent / "faults" / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip("no fault files here")

    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        part = read_row(row, "long_thought").parts[0]
        if row["id"] in ("videos", "audios"):
            assert part.reason.endswith("which is not trained on") and row["id"] in part.detail
        else:
            assert part.images == (() if name == "rows_no_image" else ("exif6.jpg",))


PLACES = [
    {"type": "image"}, {"type": "image", "image": None}, {"type": "image", "image": "<image>"}, {"type": "image", "image": 0},
    {"type": "image_url", "image_url": {"url": "<image>"}}, {"type": "image", "image": "image_0"}, {"type": "image", "index": 0},
]  # fmt: skip


@pytest.mark.parametrize("item", PLACES, ids=repr)
def test_items_that_are_only_places_are_those_of_the_pictures_in_their_column(item):
    for given in (["a.png"], [PNG], ["a.png", "b.png"]):
        content = [{"type": "text", "text": "How"}, *[item] * len(given), {"type": "text", "text": "many?"}]
        (part,) = read_row(
            {"messages": [{"role": "user", "content": content}, ANSWER], "images": given}, "long_thought"
        ).parts
        assert (part.question, part.images) == (f"How{'<image>' * len(given)}many?", tuple(given))
        fewer = {"messages": [{"role": "user", "content": content}, ANSWER], "images": [*given, "c.png"]}
        assert read_row(fewer, "long_thought").parts[0].reason == "<image> and images do not match"


@pytest.mark.parametrize("text", ["<image>How many?", "<image>\nHow many?", "How many?"])
def test_places_in_front_of_a_text_that_are_items_as_well_are_the_same(text):
    for item, more in (({"type": "image"}, {"images": ["a.png"]}), ({"type": "image", "image": "a.png"}, {})):
        content = [item, {"type": "text", "text": text}]
        (part,) = read_row({"messages": [{"role": "user", "content": content}, ANSWER], **more}, "long_thought").parts
        assert (part.question, part.images) == ("<image>How many?", ("a.png",))


def test_items_that_count_their_pictures_message_by_message_are_read():
    users = [{"role": "user", "content": [{"type": "image", "index": 0}, {"type": "text", "text": "How?"}]}] * 2
    messages = [turn for user in users for turn in (user, {"role": "assistant", "content": WHOLE})]
    (example,) = read_row({"messages": messages, "images": ["a.png", "b.png"]}, "long_thought").parts
    assert example.images == ("a.png", "b.png")


BESIDE = {"attachments": ["p/a.png"], "files": [{"path": "p/a.png"}],
          "experimental_attachments": [{"name": "a.png", "contentType": "image/png", "url": URI}],
          "multimodal_content": [{"type": "image_url", "image_url": {"url": "p/a.png"}}]}  # fmt: skip
LOST = [
    *(("user", {name: value}) for name, value in BESIDE.items()),
    *((role, {name: "p/a.png"}) for role in ("assistant", "system") for name in ("image", "images", "img")),
    ("assistant", {"attachments": ["p/a.png"]}),
]


@pytest.mark.parametrize("content", ["Q?", [{"type": "text", "text": "Q?"}]], ids=["text", "items"])
@pytest.mark.parametrize(("role", "more"), LOST)
def test_a_picture_in_another_key_of_a_message_is_a_reason_with_its_remedy(role, more, content):
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}, ANSWER]
    said = [message | more if message["role"] == role else message for message in said]
    (part,) = read_row({"messages": said}, "long_thought").parts
    assert part.reason == "a picture in an unknown column" and f"messages.{next(iter(more))}" in part.detail
    assert (
        read_row({"messages": said, "images": ["b.png"]}, "long_thought").parts[0].reason
        == "pictures in several columns"
    )

    for line, count in (
        (re.search(r'"columns": {"images": "([^"]+)"}', part.detail)[1].split(",")[0], 1),
        ("images", 0),
    ):
        (part,) = read_row({"messages": said}, "long_thought", Options(columns={"images": line})).parts
        assert len(part.images) == count or "experimental_attachments" in more

    (part,) = read_row({"messages": said, "images": ["p/a.png"]}, "long_thought").parts
    assert len(getattr(part, "images", ())) == 1 or "experimental_attachments" in more


@pytest.mark.parametrize("key", ["content", "value"])
def test_a_content_that_is_the_json_of_typed_items_is_read_as_these(key):
    items = [{"type": "image", "image": "p/a.png"}, {"type": "text", "text": "Q?"}]
    responses = WHOLE, json.dumps([{"type": "text", "text": WHOLE}])
    for response in responses:
        said = [{"role": "user", key: json.dumps(items)}, {"role": "assistant", key: response}]
        for row in ({"messages": said}, {"messages": said, "images": ["p/a.png"]}):
            (part,) = read_row(row, "long_thought").parts
            assert (part.question, part.images, part.response.thought) == ("<image>Q?", ("p/a.png",), "I look: one.")

    said = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": responses[1]}]
    (part,) = read_row({"messages": said}, "long_thought").parts
    assert isinstance(part, RejectedRow)  # nothing says that it is not JSON that was asked for


MMMU = {"image_1": "a.png", "image_2": "b.png", "image_3": "c.png"}
OPTIONS = [
    # (question, options, pictures, the question as it is trained on, pictures in that order)
    ("Which?", {"options": ["<image>", "<image>"]}, {"images": ["b", "c"]}, "Which?\nA. <image>\nB. <image>", "bc"),
    ("Which?", {"options": {"A": "<image>", "B": "x"}}, {"image": "b"}, "Which?\nA. <image>\nB. x", "b"),
    ("<image> Which?", {"choices": ["<image>", "<image>"]}, {"images": ["a", "b", "c"]}, "<image> Which?\nA. <image>\nB. <image>", "abc"),
    ("<image 1> Which?", {"options": ["<image 2>", "<image 3>"]}, MMMU, "<image> Which?\nA. <image>\nB. <image>", ("a.png", "b.png", "c.png")),
    ("<image 1> Which?", {"options": "['<image 3>', '<image 2>']"}, MMMU, "<image> Which?\nA. <image>\nB. <image>", ("a.png", "c.png", "b.png")),
    ("<image 1> A?", {"A": "<image 2>", "B": "<image 3>"}, MMMU, "<image> A?\nA. <image>\nB. <image>", ("a.png", "b.png", "c.png")),
    ("<image 1> A?", {"options": [{"label": "1", "text": "<image 2>"}, {"label": "2", "text": "<image 3>"}]}, MMMU,
     "<image> A?\n1. <image>\n2. <image>", ("a.png", "b.png", "c.png")),
    ("Which? (A) <image 1> (B) <image 2>", {"options": ["<image 1>", "<image 2>"]}, {"images": ["b", "c"]},
     "Which? (A) <image> (B) <image>", "bc"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "options", "pictures", "asked", "seen"), OPTIONS)
def test_options_that_are_pictures_are_places_behind_the_question(question, options, pictures, asked, seen):
    row = {"question": question, "response": WHOLE} | options | pictures
    chat = {"messages": [{"role": "user", "content": question}, ANSWER]} | options | pictures
    gold = row | {"answer": "A"}
    query = {"query": question, "response": WHOLE} | options | pictures
    for given, format in ((row, "long_thought"), (chat, "long_thought"), (query, "long_thought"), (gold, "questions")):
        (part,) = read_row(given, format).parts
        assert (part.question, part.images) == (asked, tuple(seen)), given


@pytest.mark.parametrize(
    "options", [["<image>"] * 2, ["<image>", "x"], ["<image 1>", "<image 2>"], ["<image 3>", "y"]]
)
def test_options_with_another_number_of_pictures_than_the_row_are_a_reason(options):
    reasons = (
        "<image> and images do not match",
        *("a picture tag names a picture that is missing", "a picture tag without a picture"),
    )
    said = [{"role": "user", "content": [{"type": "text", "text": "Which?"}]}, ANSWER]
    for row in ({}, {"image": "a.png"}, {"images": ["a.png", "b.png", "c.png", "d.png"]}):
        for asked in ({"question": "<image> Which?"}, {"messages": said}):
            (part,) = read_row({"response": WHOLE, "options": options} | asked | row, "long_thought").parts
            if isinstance(part, RejectedRow):
                assert part.reason in reasons
            else:
                assert part.question.count("<image>") == len(part.images)

    assert read(question="<image> Which?", options=options, image="a.png").reason in reasons
