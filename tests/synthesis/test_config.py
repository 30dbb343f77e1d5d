"""What is wrong with a synthesis' configuration is told before anybody is asked, all of it at once, with its line."""

import pytest

from virgo_factory.synthesis.config import ROLES, read_config, read_folder


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"scenes": []}, "scenes: name at least one"),
        ({"scenes": [{"reader": "cocoa", "file": "x"}]}, "'cocoa': not one of rows, coco"),
        ({"scenes": [{"reader": "rows", "file": "x", "box_format": "xyxz"}]}, "'xyxz': not one of xyxy, xywh"),
        ({"scenes": [{"reader": "coco", "file": "x"}]}, "reader coco needs captions, boxes"),
        ({"scenes": [{"reader": "rows", "file": "none.jsonl"}]}, "scenes: file: no file or folder none.jsonl"),
        (
            {"media_dir": ".", "output_dir": "out"},
            "output_dir: out and media_dir: .: one lies in the other. Keep rows and pictures apart",
        ),
        ({"media_dir": "out/pictures", "output_dir": "out"}, "one lies in the other"),
        ({"media_dir": "out", "output_dir": "out"}, "one lies in the other"),
        ({"media_dir": "nowhere"}, "media_dir: no folder nowhere"),
        ({"writer": {"temperature": "cold"}}, "writer: temperature: 'cold': expected number"),
        ({"writer": {"temprature": 1}}, "writer: temprature: no such key in a role's block"),
        ({"scenes": [{"reader": "rows", "file": "a", "box_fromat": "xyxy"}]}, "scenes box_fromat: no such key"),
        ({"writer": {"samples": 0}}, "writer: samples: 0: expected greater than or equal to 1"),
        ({"solver": {}, "blind": {}}, "solver: model_name_or_path: missing, here and outside of the roles"),
        ({"temperature": 0.3}, "temperature: stands in a role's block, such as writer: {temperature: ...}"),
        ({"question_prefix": "virgo"}, "question_prefix: is no key of a synthesis"),
        (
            {"reasoner": {"model_name_or_path": "r", "dialect": "openai"}},
            "reasoner: dialect: openai cannot go on behind the beginning of a response",
        ),
        ({"writer": {"model_name_or_path": "w", "dialect": "openai", "top_k": 3}}, "writer: top_k: the public API"),
        ({"blind": {"samples": 2}}, "blind_right: 3 of only 2 samples"),
        ({"composed_of": [1]}, "composed_of"),
        ({"dataset": "a,b"}, "dataset: expected letters"),
        ({"shard": "2of8"}, "shard"),
        ({"shard": "2/1"}, "shard: 2/1: expected I/N with I from 1 to N"),
        ({"writter": {}}, "writter: no such key. Did you mean writer?"),
    ],
)
def test_errors(make, keys, said):
    with pytest.raises(ValueError) as error:
        read_config(make(**keys))

    assert said in str(error.value)


def test_two_roles_with_one_name_and_keys_that_stand_there_twice(make):
    path = make()
    path.write_text(path.read_text() + "writer: {model_name_or_path: w}\n")
    with pytest.raises(ValueError, match=r"synthesis.yaml:\d+: writer: stands in line \d+ already"):
        read_config(path)

    path.write_text(make().read_text().replace("  model_name_or_path: writer\n", "  samples: 1\n  samples: 2\n"))
    with pytest.raises(ValueError, match=r"synthesis.yaml:\d+: writer.samples: stands in line \d+ already"):
        read_config(path)


def test_a_role_has_everyones_keys_its_defaults_and_its_own(make):
    config = read_config(make(requests_in_flight=7, thinker={"model_name_or_path": "t", "samples": 2}))
    thinker = config.role("thinker")
    assert (thinker.requests_in_flight, thinker.samples, thinker.top_p) == (7, 2, ROLES["thinker"]["top_p"])
    assert thinker.urls == config.urls and thinker.output_dir == config.output_dir
    blind = read_config(make(blind={}, solver={"model_name_or_path": "s", "samples": 9})).role("blind")
    assert blind.model_name_or_path == "s" and blind.samples == ROLES["blind"]["samples"]


def test_a_role_of_ones_own_server_says_that_urls_are_none(make):
    """Everyone's urls do not hold for a role that says `urls: []`: the run serves it."""
    config = read_config(make(thinker={"model_name_or_path": "someone/model", "urls": []}))
    assert config.role("thinker").urls == () and config.role("reasoner").urls


def test_what_is_written_is_read_back(make, whole):
    config = read_config(make(compositions=0))
    assert "composer" not in config.roles
    asked, again = (
        kind.model_dump(exclude={"output_dir"})
        for kind in (read_config(whole.parent / "synthesis.yaml"), read_folder(whole))
    )
    assert again == asked and read_folder(whole).shapes() == read_config(make()).shapes()
