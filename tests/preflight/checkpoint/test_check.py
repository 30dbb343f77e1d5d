"""A checkpoint that is whole passes; every known way of breaking one is found, by its own check."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from virgo_factory.cli.main import main
from virgo_factory.core.thought import MARKERS
from virgo_factory.data.tokens.image_size import read_processor
from virgo_factory.hooks.template.template import chat_template
from virgo_factory.preflight.checkpoint import check, vocabulary
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.reduced import reduce_checkpoint, try_loading, try_reduced
from virgo_factory.preflight.checkpoint.weights import read_tensors
from virgo_factory.preflight.twin.twin import make_twin


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_twin(tmp_path_factory.mktemp("base") / "model", layers=3, vision_layers=3)


@pytest.fixture
def trained(base, tmp_path) -> Path:
    """A checkpoint as training leaves it: other language weights, the template with the prefix, the same tower."""
    folder = tmp_path / "trained"
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    for name, value in weights.items():
        if name.startswith("model."):
            weights[name] = (value.float() * 1.01).bfloat16()

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "chat_template.jinja").write_text(chat_template("virgo", "Think.", "You are a helpful assistant."))
    return folder


def severities(folder: Path, base: Path | None = None) -> dict[str, str]:
    """Check -> the worst that it says; every error names a remedy."""
    found: dict[str, str] = {}
    for item in check_checkpoint(folder, base):
        assert item.severity == "ok" or item.remedy
        if found.get(item.check) != "error":
            found[item.check] = item.severity

    return found


def edit(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_good_checkpoint_is_in_order(trained, base):
    found = check_checkpoint(trained, base)
    assert {item.severity for item in found} == {"ok"}
    assert any("'Think.'" in item.found for item in found)
    tower = [name for name in load_file(base / "model.safetensors") if "visual." in name and "merger" not in name]
    assert f"all {len(tower)} tensors are the base's, byte by byte" in {item.found for item in found}


def test_tensors_are_where_the_header_says(trained):
    weights = load_file(trained / "model.safetensors")
    tensors = read_tensors(trained)
    assert set(tensors) == set(weights)
    for name in ("model.norm.weight", "visual.patch_embed.proj.weight"):
        with open(trained / "model.safetensors", "rb") as file:
            file.seek(tensors[name].start)
            raw = file.read(tensors[name].end - tensors[name].start)

        assert raw == weights[name].contiguous().view(torch.uint8).numpy().tobytes()


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def other_tower(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["visual.blocks.1.attn.qkv.weight"][0, 0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def names_of_5(folder: Path) -> None:
    weights = {
        name.replace("model.layers", "model.language_model.layers"): value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def a_layer_less(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: value for name, value in weights.items() if not name.startswith("model.layers.1.")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def without_a_bias(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_width(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] = weights["model.layers.1.mlp.down_proj.weight"].T.contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def rope_of_5(folder: Path) -> None:
    def change(config):
        text = config.get("text_config", config)
        text["rope_parameters"] = text.pop("rope_scaling")
        config.pop("rope_scaling", None)

    edit(folder / "config.json", change)


def one_marker(folder: Path) -> None:
    def change(content):
        entry = {**content["added_tokens"][-1], "id": content["added_tokens"][-1]["id"] + 1, "special": False}
        content["added_tokens"].append({**entry, "content": "<|begin_of_thought|>"})

    edit(folder / "tokenizer.json", change)


@pytest.mark.parametrize(
    ("breaking", "check"),
    [
        (cut_short, "weights"),
        (lambda folder: (folder / "model.safetensors").unlink(), "weights"),
        (other_tower, "vision tower"),
        (names_of_5, "names"),
        (a_layer_less, "names"),
        (without_a_bias, "shapes"),
        (of_another_width, "shapes"),
        (lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"), "weights"),
        (rope_of_5, "rope"),
        (one_marker, "markers"),
        (lambda folder: edit(folder / "config.json", lambda it: it.update(transformers_version="5.5.4")), "transformers"),
        (lambda folder: edit(folder / "tokenizer_config.json", lambda it: it.update(extra_special_tokens=["a"])), "tokenizer"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "files"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "chat template"),
    ],
)  # fmt: skip
def test_every_way_of_breaking_it_is_found_by_its_own_check(trained, base, breaking, check):
    breaking(trained)
    found = severities(trained, base)
    assert [name for name, severity in found.items() if severity == "error"] == [check]


def as_saved_by_5(folder: Path) -> None:
    """Change a checkpoint into what transformers 5.5.4 writes of the same model."""
    weights = load_file(folder / "model.safetensors")
    weights = {f"model.{name}" if name.startswith("visual.") else name: value for name, value in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    rope_of_5(folder)
    edit(folder / "config.json", lambda it: it.update(transformers_version="5.5.4"))
    edit(folder / "tokenizer_config.json", lambda it: it.update(extra_special_tokens=["<|im_start|>"]))
    image = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": image}))
    (folder / "preprocessor_config.json").unlink()


def test_what_5_saves_is_in_order_where_5_reads_it(trained, base, monkeypatch):
    """The base is as 4.x saved it: the vision tower is found in it under its other names."""
    as_saved_by_5(trained)
    found = severities(trained, base)
    errors = {"files", "tokenizer", "rope", "transformers", "names", "vision tower"}
    assert {name for name, severity in found.items() if severity == "error"} == errors
    for module in (check, vocabulary):
        monkeypatch.setattr(module, "reads_5", lambda: True)

    assert set(severities(trained, base).values()) == {"ok"}
    told = {item.check: item.found for item in check_checkpoint(trained, base)}
    assert told["transformers"] == "saved by 5.5.4; 4.x readers break, those here read it"
    assert read_processor(trained) == read_processor(base)
    (trained / "processor_config.json").unlink()
    assert severities(trained, base)["files"] == "error"


def shorter(name: str, rows: int):
    def breaking(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights[name] = weights[name][:rows].contiguous()
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return breaking


def marker_beyond(folder: Path) -> None:
    def change(content):
        for place, text in enumerate(MARKERS):
            entry = {**content["added_tokens"][-1], "id": 1454 + place, "special": False, "content": text}
            content["added_tokens"].append(entry)

    edit(folder / "tokenizer.json", change)
    shorter("model.embed_tokens.weight", 1456)(folder)


def ends_with(*ids: int):
    return lambda folder: edit(folder / "generation_config.json", lambda it: it.update(eos_token_id=list(ids)))


@pytest.mark.parametrize(
    ("breaking", "check", "said"),
    [
        (shorter("lm_head.weight", 1460), "tokenizer", "lm_head.weight 1,460, model.embed_tokens.weight 1,472, vocab_size of config.json 1,472"),
        (shorter("lm_head.weight", 1400), "tokenizer", "lm_head.weight has 1,400 rows: none for 54 of 1,454 tokens, such as 1400 "),
        (shorter("model.embed_tokens.weight", 1400), "tokenizer", "model.embed_tokens.weight has 1,400 rows: none for 54 "),
        (marker_beyond, "tokenizer", "none for 2 of 1,458 tokens, such as 1456 '<|begin_of_solution|>'"),
        (ends_with(99999), "generation", "generation_config.json: eos_token_id 99999 is no token"),
        (ends_with(1440, 1471), "generation", "eos_token_id 1471 is no token"),
        (lambda folder: edit(folder / "config.json", lambda it: it.update(image_token_id=1470)), "tokenizer", "image_token_id 1470: no such token"),
        (lambda folder: (folder / "config.json").write_text('{\n "a": 1,,\n}'), "files", "config.json:2:9: not JSON"),
        (lambda folder: (folder / "config.json").write_text(""), "files", "config.json:1:1: not JSON"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe{}"), "files", "config.json: cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "files", "config.json: not a JSON object"),
        (lambda folder: (folder / "generation_config.json").write_text("{"), "files", "generation_config.json:1:2: not JSON"),
        (lambda folder: (folder / "tokenizer_config.json").write_text("{"), "files", "tokenizer_config.json:1:2: not JSON"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer", "tokenizer.json: "),
        (lambda folder: (folder / "chat_template.jinja").write_text(" "), "chat template", "none"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_one_another(trained, base, breaking, check, said):
    breaking(trained)
    errors = [(item.check, item.found) for item in check_checkpoint(trained, base) if item.severity == "error"]
    assert len(errors) >= 1 and all(name == check for name, _ in errors) and said in errors[0][1], errors
    assert not any("\n" in found for _, found in errors)


def test_the_right_end_is_named(trained):
    ends_with(99999)(trained)
    (found,) = [item for item in check_checkpoint(trained) if item.check == "generation"]
    end = json.loads((trained / "tokenizer.json").read_text())["added_tokens"]
    assert (
        found.remedy
        == f"set it to {next(entry['id'] for entry in end if entry['content'] == '<|im_end|>')}, <|im_end|>"
    )


def test_a_template_among_several(trained):
    (trained / "chat_template.jinja").unlink()
    named = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    edit(trained / "tokenizer_config.json", lambda it: it.update(chat_template=named))
    assert severities(trained)["chat template"] == "ok"
    edit(trained / "tokenizer_config.json", lambda it: it.update(chat_template=named[:1]))
    assert severities(trained)["chat template"] == "error"


def test_a_broken_config_is_one_line_of_the_command(trained, capsys):
    (trained / "config.json").write_text('{"a": }')
    with pytest.raises(SystemExit) as stop:
        main(["checkpoint", "check", str(trained), "--json"])

    errors = [item for item in json.loads(capsys.readouterr().out) if item["severity"] == "error"]
    assert (stop.value.code, [item["check"] for item in errors]) == (1, ["files"])
    assert errors[0]["found"].startswith(f"{trained / 'config.json'}:1:7: not JSON")


def test_a_folder_of_models_names_them(trained):
    (found,) = check_checkpoint(trained.parent)
    assert found.remedy == "name the folder of a trained model; below it there are trained"


@pytest.mark.parametrize("breaking", [without_a_bias, of_another_width])
def test_a_layer_unlike_the_others_is_found_without_a_base(trained, breaking):
    breaking(trained)
    assert severities(trained)["shapes"] == "error"


def test_partitions_of_deepspeed_alone_say_how_to_gather_them(tmp_path):
    (tmp_path / "global_step5").mkdir()
    (found,) = check_checkpoint(tmp_path)
    assert "stage3_gather_16bit_weights_on_model_save" in found.remedy


def test_without_a_base_the_tower_is_not_compared(trained):
    assert severities(trained)["vision tower"] == "warning"


@pytest.mark.integration
def test_a_reduced_copy_holds_the_same_tensors_from_the_whole_depth_and_runs(trained, tmp_path):
    """Of three layers the first and the last are taken, the last as the second."""
    copy = reduce_checkpoint(trained, tmp_path / "copy", layers=2)
    whole, reduced = load_file(trained / "model.safetensors"), load_file(copy / "model.safetensors")
    stack = re.compile(r"(model\.layers|visual\.blocks)\.1\.")
    assert {name for name in whole if not re.match(r"(model\.layers|visual\.blocks)\.2\.", name)} == set(reduced)
    assert all(torch.equal(reduced[name], whole[stack.sub(r"\1.2.", name)]) for name in reduced)
    (found,) = try_reduced(trained, tmp_path)
    assert found.severity == "ok", found
    (found,) = try_loading(copy)
    assert found.severity == "ok", found


@pytest.mark.integration
def test_damaged_weights_show_when_it_runs(trained, tmp_path):
    weights = load_file(trained / "model.safetensors")
    weights["model.layers.2.mlp.down_proj.weight"][:] = float("nan")
    save_file(weights, trained / "model.safetensors", metadata={"format": "pt"})
    (found,) = try_reduced(trained, tmp_path)
    assert (found.severity, "not finite" in found.found) == ("error", True)


def test_the_command(trained, base, capsys):
    other_tower(trained)
    with pytest.raises(SystemExit) as stop:
        main(["checkpoint", "check", str(trained), "--base", str(base), "--files-only"])

    out = capsys.readouterr().out
    assert stop.value.code == 1
    assert "vision tower" in out and "1 errors, 0 warnings" in out
