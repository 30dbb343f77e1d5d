"""What a checkpoint of the plugin is good for: stock export, LLaMA-Factory's API, and vLLM, all with the trained prefix."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml
from PIL import Image, ImageDraw

from virgo_factory.prefix import read_prefix


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
PREFIX = read_prefix("virgo")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_bench, base, demo_lines):
    """A folder in which a twin was trained for two steps; its checkpoint is `out`."""
    bench = make_bench(tmp_path_factory.mktemp("served"), base)
    bench.add_dataset("thoughts", sorted(demo_lines, key=len)[:8])
    bench.train(max_steps=2)
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _ask(port: int, model: str, picture: str, **more) -> dict:
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
        **more,
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=180) as response:
        return json.load(response)


def _prompt_tokens(folder, prefix: str | None) -> int:
    """Return how many tokens the processor's own chat template makes of the question, the image counted as one."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which bar is the tallest?"}]}
    ]
    more = {} if prefix is None else {"question_prefix": prefix}
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **more)
    assert (PREFIX in text) == (prefix is None)
    image = Image.new("RGB", (112, 84))
    return len(processor(text=[text], images=[image])["input_ids"][0])


def test_export_and_api(trained, picture):
    """`export` writes a model with the trained chat template; `api` answers an image question with the prefix."""
    recipe = trained.folder / "export.yaml"
    recipe.write_text(
        yaml.safe_dump({"model_name_or_path": "out", "template": "virgo", "export_dir": "exported", "export_size": 1})
    )
    command = [str(trained.command({})[0]), "export", str(recipe)]
    done = subprocess.run(
        command, cwd=trained.folder, env=trained.environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.dumps(PREFIX)[1:-1] in (trained.folder / "exported" / "chat_template.jinja").read_text()

    port = _free_port()
    api = trained.folder / "api.yaml"
    api.write_text(yaml.safe_dump({"model_name_or_path": "exported", "template": "virgo", "image_max_pixels": 50176}))
    with _server([command[0], "api", str(api)], trained, port, API_PORT=str(port), API_HOST="127.0.0.1"):
        answer = _ask(port, "virgo", picture)
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["prompt_tokens"] == _prompt_tokens(trained.folder / "exported", None)


def test_vllm(trained, picture):
    """vLLM serves the checkpoint without any flag for the template; a caller can override the prefix."""
    pytest.importorskip("vllm", reason="vLLM is not installed (make test installs its CPU build)")
    port = _free_port()
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", "out", "--port", str(port)),
        *("--host", "127.0.0.1", "--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "1024"),
        *("--gpu-memory-utilization", "0.3", "--limit-mm-per-prompt", '{"image":2,"video":0}'),
        *("--served-model-name", "virgo", "--mm-processor-kwargs", '{"max_pixels": 50176}'),
    ]
    with _server(command, trained, port, VLLM_CPU_KVCACHE_SPACE="1"):
        answer = _ask(port, "virgo", picture)
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["prompt_tokens"] == _prompt_tokens(trained.folder / "out", None)
        plain = _ask(port, "virgo", picture, chat_template_kwargs={"question_prefix": ""})
        assert plain["usage"]["prompt_tokens"] == _prompt_tokens(trained.folder / "out", "")
        assert plain["usage"]["prompt_tokens"] < answer["usage"]["prompt_tokens"]
