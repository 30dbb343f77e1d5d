"""A checkpoint that is whole passes; every known way of breaking one is found, by its own check."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.preflight.conftest import FILE, Weights, edited
from virgo_factory.core.thought import MARKERS
from virgo_factory.data.tokens.image_size import read_processor
from virgo_factory.hooks.template.template import chat_template
from virgo_factory.preflight.checkpoint import check, vocabulary
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.checkpoint.reduced import PLACES, reduce_checkpoint, try_loading, try_reduced
from virgo_factory.preflight.checkpoint.weights import read_tensors
from virgo_factory.preflight.twin.twin import make_twin


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_twin(tmp_path_factory.mktemp("base") / "model", layers=3, vision_layers=3)


@pytest.fixture
def trained(base, tmp_path) -> Path:
    """A checkpoint as training leaves it: other language weights, the template with the prefix, the same tower."""
    folder = Path(shutil.copytree(base, tmp_path / "trained"))
    (folder / "chat_template.jinja").write_text(chat_template("virgo", "Think.", "You are a helpful assistant."))
    return edited(folder, lambda weights: weights.update(
        {name: (value.float() * 1.01).bfloat16() for name, value in weights.items() if name.startswith("model.")}
    ))  # fmt: skip


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
    tower = [name for name in load_file(base / FILE) if "visual." in name and "merger" not in name]
    assert f"all {len(tower)} tensors are the base's, byte by byte" in {item.found for item in found}


def test_tensors_are_where_the_header_says(trained):
    weights = load_file(trained / FILE)
    tensors = read_tensors(trained)
    assert set(tensors) == set(weights)
    for name in ("model.norm.weight", "visual.patch_embed.proj.weight"):
        with open(trained / FILE, "rb") as file:
            file.seek(tensors[name].start)
            raw = file.read(tensors[name].end - tensors[name].start)

        assert raw == weights[name].contiguous().view(torch.uint8).numpy().tobytes()


def cut_short(folder: Path) -> None:
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-1000])


def changed(change: Callable[[Weights], object]) -> Callable[[Path], Path]:
    return lambda folder: edited(folder, change)


def renamed(old: str, new: str) -> Callable[[Path], Path]:
    return changed(lambda weights: [weights.update({name.replace(old, new, 1): weights.pop(name)})
                                    for name in list(weights) if name.startswith(old)])  # fmt: skip


def without(start: str) -> Callable[[Path], Path]:
    return changed(lambda weights: [weights.pop(name) for name in list(weights) if name.startswith(start)])


DOWN = "model.layers.1.mlp.down_proj.weight"
other_tower = changed(lambda weights: weights["visual.blocks.1.attn.qkv.weight"][0, 0].add_(1))
without_a_bias = without("model.layers.1.self_attn.q_proj.bias")
of_another_width = changed(lambda weights: weights.update({DOWN: weights[DOWN].T}))


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


def as_saved_by_5(folder: Path) -> None:
    """Change a checkpoint into what transformers 5.5.4 writes of the same model."""
    renamed("visual.", "model.visual.")(folder)
    rope_of_5(folder)
    edit(folder / "config.json", lambda it: it.update(transformers_version="5.5.4"))
    edit(folder / "tokenizer_config.json", lambda it: it.update(extra_special_tokens=["<|im_start|>"]))
    image = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": image}))
    (folder / "preprocessor_config.json").unlink()


@pytest.mark.slow
def test_what_5_saves_is_in_order_where_5_reads_it(trained, base, monkeypatch):
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


def shorter(name: str, rows: int) -> Callable[[Path], Path]:
    return changed(lambda weights: weights.update({name: weights[name][:rows]}))


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
        (cut_short, "weights", ""),
        (lambda folder: (folder / FILE).unlink(), "weights", ""),
        (other_tower, "vision tower", ""),
        (renamed("model.layers", "model.language_model.layers"), "names", ""),
        (without("model.layers.1."), "names", ""),
        (without_a_bias, "shapes", ""),
        (of_another_width, "shapes", ""),
        (lambda folder: (folder / FILE).write_text("version https://git-lfs.github.com/spec/v1\n"), "weights", ""),
        (rope_of_5, "rope", ""),
        (one_marker, "markers", ""),
        (lambda folder: edit(folder / "config.json", lambda it: it.update(transformers_version="5.5.4")), "transformers", ""),
        (lambda folder: edit(folder / "tokenizer_config.json", lambda it: it.update(extra_special_tokens=["a"])), "tokenizer", ""),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "files", ""),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "chat template", ""),
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
def test_every_way_of_breaking_it_is_found_by_its_own_check(trained, base, breaking, check, said):
    breaking(trained)
    errors = [item for item in check_checkpoint(trained, base) if item.severity == "error"]
    assert errors and all(item.check == check and item.remedy for item in errors) and said in errors[0].found, errors
    assert not any("\n" in item.found for item in errors)


def as_type(name: str, dtype: torch.dtype, scale: float = 1) -> Callable[[Path], Path]:
    return changed(lambda weights: weights.update({name: (weights[name].float() * scale).to(dtype)}))


@pytest.mark.parametrize(
    ("breaking", "severity", "said"),
    [
        (as_type(DOWN, torch.int8, 100), "error", f"{DOWN} of 64 tensors stored as I8: integers"),
        (as_type(DOWN, torch.float32), "warning", f"{DOWN} of 64 tensors stored as F32; config.json says bfloat16"),
        (changed(lambda weights: weights.update({name: value.half() for name, value in weights.items()})), "warning", "stored as F16"),
    ],
)  # fmt: skip
def test_a_tensor_stored_as_another_type_is_found(trained, base, breaking, severity, said):
    breaking(trained)
    said = said.replace("64", str(len(load_file(trained / FILE))))
    for against in (base, None):
        (found,) = [item for item in check_checkpoint(trained, against) if item.check == "types"]
        assert found.severity == severity and said in found.found and found.remedy

    edit(trained / "config.json", lambda it: it.update(quantization_config={"quant_method": "x"}))
    assert not [item for item in check_checkpoint(trained, base) if item.check == "types"]


def test_what_a_training_in_mixed_precision_saves_is_in_order(trained, base):
    changed(
        lambda weights: weights.update({name: value.float() for name, value in weights.items() if name[0] != "v"})
    )(trained)
    assert not [item for item in check_checkpoint(trained, base) if item.check == "types"]


def set_to(*path: str, value: object) -> Callable[[dict], object]:
    def change(config: dict) -> None:
        text = config.get("text_config", config) if path[0] != "vision_config" else config
        for key in path[:-1]:
            text = text[key]

        text[path[-1]] = value

    return change


def without_theta(config: dict) -> None:
    config.pop("rope_theta", None)
    config.get("text_config", {}).pop("rope_theta", None)


@pytest.mark.parametrize(
    ("change", "severity", "said"),
    [
        (set_to("rope_theta", value=12345.0), "error", "rope_theta is 12345.0, the base's 1000000.0"),
        (without_theta, "error", "rope_theta is missing, the base's 1000000.0"),
        (set_to("rope_scaling", "factor", value=4.0), "warning", "rope_scaling.factor is 4.0, the base's missing"),
        (lambda config: config.update(rope_theta=1e4), "error", "rope_theta is 1000000.0 and 10000.0"),
        (set_to("rms_norm_eps", value=0.1), "error", "rms_norm_eps is 0.1"),
        (set_to("hidden_act", value="gelu"), "error", "hidden_act is gelu"),
        (set_to("vision_config", "hidden_act", value="relu"), "error", "vision_config.hidden_act is relu"),
        (set_to("max_position_embeddings", value=99), "warning", "max_position_embeddings is 99"),
        (set_to("use_cache", value=False), "", ""),
        (set_to("attention_dropout", value=0.1), "", ""),
    ],
)
def test_a_setting_that_is_not_the_bases_is_found(trained, base, change, severity, said):
    edit(trained / "config.json", change)
    found = [item for item in check_checkpoint(trained, base) if item.check == "settings"]
    assert [item.severity for item in found] == [severity] * bool(severity), found
    assert all(said in item.found and item.remedy for item in found)


def test_the_settings_that_another_transformers_writes_of_the_same_model_are_the_same(trained, base):
    def flat(config: dict) -> None:
        config |= config.pop("text_config", {})
        config["rope_scaling"] = {"type": "mrope", "mrope_section": config["rope_scaling"]["mrope_section"]}
        config.update(
            transformers_version="4.41.2",
            sliding_window=32768,
            vision_config={**config["vision_config"], "in_chans": 3},
        )

    edit(trained / "config.json", flat)
    assert not [item for item in check_checkpoint(trained, base) if item.check == "settings"]


def test_the_right_end_is_named(trained):
    ends_with(99999)(trained)
    (found,) = [item for item in check_checkpoint(trained) if item.check == "generation"]
    added = json.loads((trained / "tokenizer.json").read_text())["added_tokens"]
    end = next(entry["id"] for entry in added if entry["content"] == "<|im_end|>")
    assert found.remedy == f"set it to {end}, <|im_end|>"


def test_a_template_among_several(trained):
    (trained / "chat_template.jinja").unlink()
    named = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    edit(trained / "tokenizer_config.json", lambda it: it.update(chat_template=named))
    assert severities(trained)["chat template"] == "ok"
    edit(trained / "tokenizer_config.json", lambda it: it.update(chat_template=named[:1]))
    assert severities(trained)["chat template"] == "error"


def test_a_broken_config_is_one_line_of_the_command(trained, call):
    (trained / "config.json").write_text('{"a": }')
    code, out, _ = call("checkpoint", "check", trained, "--json")
    errors = [item for item in json.loads(out) if item["severity"] == "error"]
    assert (code, [item["check"] for item in errors]) == (1, ["files"])
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
def test_layers_from_the_whole_depth_are_run(trained, tmp_path, request):
    reduced = reduce_checkpoint(trained, tmp_path / "reduced", layers=2)
    places = json.loads((reduced / PLACES).read_text())
    whole = load_file(trained / FILE)
    stack = re.compile(r"(model\.layers|visual\.blocks)\.1\.")
    assert {name for name in whole if not re.match(r"(model\.layers|visual\.blocks)\.2\.", name)} == set(places)
    assert all(old == stack.sub(r"\1.2.", name) for name, (_, old) in places.items())
    (found,) = try_reduced(trained, tmp_path)
    assert found.severity == "ok", found
    request.getfixturevalue("forked_loading")
    (found,) = try_loading(trained)
    assert found.severity == "ok", found


@pytest.mark.integration
@pytest.mark.usefixtures("forked_loading")
def test_damaged_weights_show_when_it_runs(trained, tmp_path):
    edited(trained, lambda weights: weights["model.layers.2.mlp.down_proj.weight"].fill_(float("nan")))
    (found,) = try_reduced(trained, tmp_path)
    assert (found.severity, "not finite" in found.found) == ("error", True)


def test_the_command(trained, base, call):
    other_tower(trained)
    code, out, _ = call("checkpoint", "check", trained, "--base", base, "--files-only")
    assert code == 1 and "vision tower" in out and "1 errors, 0 warnings" in out
