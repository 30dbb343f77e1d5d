"""What a checkpoint of the plugin is good for: stock export and LLaMA-Factory's API (vLLM: test_distill_vllm.py)."""

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import time
import urllib.request

import pytest
import yaml
from PIL import Image, ImageDraw

from virgo_factory.core.thought import MARKERS
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.rollouts.servers.server import free_port


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
PREFIX = read_prefix("virgo")
SYSTEM = "Answer in one line."


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_bench, base, demo_lines):
    """A folder in which a twin was trained for two steps; its checkpoint is `out`."""
    bench = make_bench(tmp_path_factory.mktemp("served"), base)
    bench.add_dataset("thoughts", sorted(demo_lines, key=len)[:8])
    bench.train(max_steps=2)
    return bench


@pytest.fixture(scope="module", params=["untied", "tied"])
def adapter(request, tmp_path_factory, make_bench, base, demo_lines):
    """A folder in which a LoRA adapter `out` with markers, prefix and a system message was trained, and merged.

    Neither serving nor the merge is told anything that the adapter's folder does not say.
    """
    from virgo_factory.preflight.twin.twin import make_twin

    bench = make_bench(tmp_path_factory.mktemp("adapter"), base)
    bench.add_dataset("thoughts", sorted(demo_lines, key=len)[:8])
    targets = "embed_tokens,lm_head"
    if request.param == "tied":
        bench.base, targets = make_twin(bench.folder / "tied", tied=True, dtype="float32"), "embed_tokens"

    lora = {"finetuning_type": "lora", "lora_target": "all", "lora_rank": 4, "additional_target": targets}
    bench.train(
        **lora, marker_tokens=True, default_system=SYSTEM, learning_rate=0.02, max_steps=4, keep_model_at_epochs=[2]
    )
    assert (bench.folder / "out" / "epoch-2" / "chat_template.jinja").is_file()
    served = {"adapter_name_or_path": "out", "template": "virgo", "infer_dtype": "float32"}
    log = bench.train_recipe(served | {"export_dir": "merged"})
    assert f"serving with the question prefix {PREFIX!r}, as the chat template of out says" in log
    assert "marker_tokens: true, since out was trained with it" in log
    return bench


@pytest.fixture(scope="module")
def picture() -> str:
    """A drawn bar chart as a data URL."""
    image = Image.new("RGB", (112, 84), "white")
    draw = ImageDraw.Draw(image)
    for position, height in enumerate((20, 55, 35)):
        draw.rectangle((12 + 32 * position, 76 - height, 32 + 32 * position, 76), fill="navy")

    data = io.BytesIO()
    image.save(data, format="PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


@contextlib.contextmanager
def _server(command: list[str], bench, port: int, **env: str):
    """Start a server, wait until it lists its models, and stop it with all its processes at the end."""
    log = bench.folder / f"server_{port}.log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            command,
            cwd=bench.folder,
            env=bench.environment(**env),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 420
        while True:
            assert process.poll() is None, log.read_text(errors="replace")[-20000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-5000:]
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2)
                break

            time.sleep(0.5)

        yield log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ask(port: int, model: str, picture: str) -> dict:
    body = {
        "model": model,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "text", "text": "Which bar is the tallest?"},
                ],
            }
        ],
        "max_tokens": 8,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=180) as response:
        return json.load(response)


def _prompt_tokens(folder) -> int:
    """Return how many tokens the processor's own chat template makes of the question, the image counted as one."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which bar is the tallest?"}]}
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert PREFIX in text
    image = Image.new("RGB", (112, 84))
    return len(processor(text=[text], images=[image])["input_ids"][0])


def test_a_merged_model_is_its_adapter(adapter):
    """The loss of a training row, its marker tokens and the prompt are the same on the base and merged."""
    import torch
    from peft import PeftModel
    from transformers import AutoProcessor, Qwen2VLForConditionalGeneration

    def load(folder):
        return Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)

    def loss(model, text, processor):
        ids = processor.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return model(input_ids=ids, labels=ids).loss.item()

    out, merged = (adapter.folder / name for name in ("out", "merged"))
    own, theirs = AutoProcessor.from_pretrained(out), AutoProcessor.from_pretrained(merged)
    assert own.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    assert all(len(theirs.tokenizer.encode(marker)) == 1 for marker in MARKERS)
    assert own.chat_template == theirs.chat_template == theirs.tokenizer.chat_template
    messages = [{"role": "user", "content": "Which bar?"}]
    prompt = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert SYSTEM in prompt and f"{PREFIX}\nWhich bar?" in prompt
    row = json.loads((adapter.folder / "data" / "thoughts.jsonl").read_text().splitlines()[0])
    text = prompt + row["combined_text"]
    untrained = loss(load(adapter.base), text, own)
    on_base = loss(PeftModel.from_pretrained(load(adapter.base), out), text, own)
    assert on_base < untrained - 0.5
    assert loss(load(merged), text, theirs) == pytest.approx(on_base, abs=0.01)


@pytest.mark.parametrize("adapter", ["untied"], indirect=True)
def test_the_api_serves_an_adapter_on_its_base(adapter, picture):
    """An image question is asked with the prefix, the system message and the markers that the adapter has."""
    port = free_port(None)
    api = adapter.folder / "api.yaml"
    recipe = {"model_name_or_path": str(adapter.base), "adapter_name_or_path": "out", "template": "virgo"}
    api.write_text(yaml.safe_dump(recipe | {"image_max_pixels": 50176}))
    command = [adapter.command({})[0], "api", str(api)]
    with _server(command, adapter, port, API_PORT=str(port), API_HOST="127.0.0.1"):
        answer = _ask(port, "virgo", picture)
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["prompt_tokens"] == _prompt_tokens(adapter.folder / "merged")


def test_export(trained):
    """A whole model is written with the chat template that it was trained with, and so is Ollama's Modelfile."""
    trained.train_recipe({"model_name_or_path": "out", "template": "virgo", "export_dir": "exported"})
    assert json.dumps(PREFIX)[1:-1] in (trained.folder / "exported" / "chat_template.jinja").read_text()
    assert f"{PREFIX}\n{{{{ .Content }}}}" in (trained.folder / "exported" / "Modelfile").read_text()
