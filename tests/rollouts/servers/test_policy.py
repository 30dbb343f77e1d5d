"""What goes wrong with a policy's servers: real HTTP, and a server that does as it is told in vLLM's place.

That vLLM itself does what is built on is held by tests/integration/test_policy_servers.py.
"""

import copy
import json
import shutil
import threading
import time
from types import SimpleNamespace

import pytest

from tests.rollouts.json_server import JsonServer
from virgo_factory.core.errors import UserError
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.rollouts.prompt import compose
from virgo_factory.rollouts.servers import listening, policy
from virgo_factory.rollouts.servers.client import WrongServer
from virgo_factory.rollouts.servers.policy import PolicyServers, policy_server
from virgo_factory.rollouts.servers.server import environment


PAD = 9
INFO = {
    "instance_id": "first",
    "model_config": {
        "logprobs_mode": "processed_logprobs",
        "generation_config": "vllm",
        "quantization": None,
        "multimodal_config": {"limit_per_prompt": {"image": {"count": 2}}},
    },
}
MODULES = """Qwen2VLForConditionalGeneration()(
  (embed_tokens): VocabParallelEmbedding(num_embeddings=64, embedding_dim=128, org_vocab_size=1472, tp_size=1)
  (0-1): 2 x Qwen2DecoderLayer()("""
PROMPTS = [compose(str(number), f"What is {number} + 2?") for number in range(6)]
SAMPLING = {"temperature": 1.0, "max_tokens": 4, "seed": 3}


class Standing(JsonServer):
    """A server that says what it was told to (info, modules, context, ids), and notes what it is `asked`.

    `weights` are what it was given last, "base" when it has just begun. `answers` is called with itself and the body of a request for
    responses before it is answered, and may return a status (0 drops the connection).
    """

    def __init__(self) -> None:
        self.info, self.modules, self.context, self.ids = copy.deepcopy(INFO), MODULES, 1024, [1, 2, 3]
        self.weights, self.answers, self.asked, self.tokens = "base", lambda server, body: None, [], None
        self.shortened = 0
        super().__init__()

    def close_listener(self) -> None:
        """Take no more connections, as a server that shuts down; those that are open stay."""
        self.shutdown()
        self.socket.close()

    def begin_again(self, instance: str = "second") -> None:
        """As after a start: the weights of its folder, and another id."""
        self.weights, self.info["instance_id"] = "base", instance

    def answer(self, path: str, body: dict, key: str | None) -> tuple[int | None, object]:
        self.asked.append((path, body))
        match path, body:
            case "/v1/models", _:
                return 200, {"data": [{"id": "policy", "max_model_len": self.context}]}
            case "/version", _:
                return 200, {"version": "0"}
            case "/server_info", _ if self.info is not None:
                return 200, {"vllm_config": self.info}
            case "/tokenize", _:
                return 200, {"tokens": self.tokens(body["prompt"]) if self.tokens else []}
            case "/detokenize", _:
                return 200, {"prompt": "".join(chr(96 + token % 100) * (1 + token // 100) for token in body["tokens"])}
            case "/collective_rpc", {"method": "get_model_inspection"}:
                return 200, {"results": [self.modules]}
            case "/collective_rpc", _:
                self.weights = body["kwargs"]["weights_path"].rpartition("/")[2]
                failed = {"error": {"message": "Call to collective_rpc method failed: no such folder"}}
                return (500, failed) if self.weights == "broken" else (200, {"results": [None]})
            case "/v1/chat/completions", _:
                return self.respond(body)

        return (200, {}) if self.info is not None and path in ("/pause", "/resume") or "reset" in path else (404, {})

    def respond(self, body: dict) -> tuple[int | None, object]:
        status = self.answers(self, body)
        if status is not None:
            return status or None, {"error": {"message": "as it was told"}}

        said = [len(self.weights), *range(body["max_tokens"] - 1)]
        content = [{"logprob": -float(token)} for token in said[self.shortened :]]
        choice = {"token_ids": said, "logprobs": {"content": content}, "finish_reason": "length"}
        choices = [{"index": index, **choice} for index in reversed(range(body["n"]))]
        return 200, {"choices": choices, "prompt_token_ids": self.ids}


@pytest.fixture
def standing():
    """A function that starts a server."""
    made = []

    def start() -> Standing:
        made.append(Standing())
        return made[-1]

    yield start
    for one in made:
        one.close()


def policy_of(*servers: Standing, weights: str = "/w/one", **options) -> PolicyServers:
    """Return servers that were handed weights of step 1."""
    found = PolicyServers("m", urls=[server.url for server in servers], **options)
    found.load_weights(weights, 1)
    return found


def responses_asked(server: Standing) -> int:
    return [path for path, _ in server.asked].count("/v1/chat/completions")


def weights_of(sampled) -> set[int]:
    """Return the lengths of the names of the weights that responses were made with."""
    return {sample.token_ids[0] for one in sampled for sample in one.samples}


@pytest.mark.slow
def test_every_request_says_all_that_matters(standing):
    server = standing()
    with pytest.raises(RuntimeError, match="no weights were handed over"):
        PolicyServers("m", urls=[server.url]).generate(PROMPTS, 1, **SAMPLING)

    servers = policy_of(server)
    paths = [path for path, _ in server.asked[-5:]]
    assert paths == ["/pause", "/collective_rpc", "/reset_prefix_cache", "/reset_encoder_cache", "/resume"]
    sampled = servers.generate(PROMPTS[:2], 3, stop=[5], suppress=[7, 8], **SAMPLING)
    assert [len(one.samples) for one in sampled] == [3, 3] and sampled[0].prompt_ids == (1, 2, 3)
    assert sampled[0].samples[0].logprobs == (-3.0, 0.0, -1.0, -2.0)
    bodies = [body for path, body in server.asked if path == "/v1/chat/completions"]
    seeds = {body.pop("seed") for body in bodies}
    assert len(seeds) == 2 and abs(max(seeds) - min(seeds)) > 1000 and max(seeds) < 2**53
    messages = sorted((body.pop("messages") for body in bodies), key=str)
    assert messages == [prompt.messages for prompt in PROMPTS[:2]]
    assert bodies[0] == {
        **{
            "model": "policy",
            "chat_template_kwargs": {"question_prefix": ""},
            "n": 3,
            "temperature": 1.0,
            "top_p": 1.0,
        },
        **{"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "max_tokens": 4, "stop_token_ids": [5]},
        **{
            "logit_bias": {"7": -100, "8": -100},
            "logprobs": True,
            "return_token_ids": True,
            "skip_special_tokens": False,
        },
    }


@pytest.mark.slow
def test_what_a_dead_server_had_goes_to_the_others(standing):
    good, bad = standing(), standing()
    bad.answers = lambda server, body: 0
    assert len(policy_of(bad, good).generate(PROMPTS, 600, **SAMPLING)) == len(PROMPTS)  # one at a time at each
    assert responses_asked(bad) >= 1 and responses_asked(good) == len(PROMPTS)


@pytest.mark.slow
def test_a_server_that_began_again_is_given_the_weights_first(standing):
    server = standing()
    servers = policy_of(server, weights="/w/seventh")
    server.begin_again()
    assert weights_of(servers.generate(PROMPTS, 1, **SAMPLING)) == {len("seventh")} and server.weights == "seventh"
    servers.load_weights("/w/three", 1)  # a resumed step has its old number, and not always its old weights
    assert server.weights == "three"


@pytest.mark.slow
@pytest.mark.parametrize("drops", [True, False], ids=["connection lost", "between two requests"])
def test_what_it_said_with_its_own_weights_does_not_count(standing, drops):
    server, seen = standing(), []

    def answers(server, body):
        seen.append(server.weights)
        if len(seen) == 3:
            server.begin_again()
            return 0 if drops else None

    server.answers = answers
    sampled = policy_of(server, weights="/w/seventh").generate(PROMPTS, 600, **SAMPLING)
    assert "base" in seen and weights_of(sampled) == {len("seventh")} and len(sampled) == len(PROMPTS)


@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for_and_then_told(standing):
    server = standing()
    server.close()
    with pytest.raises(UserError, match=r"no server has answered for 1.2 seconds"):
        policy_of(server, wait=0.02).generate(PROMPTS, 1, **SAMPLING)


@pytest.mark.slow
@pytest.mark.parametrize("owes", ["/collective_rpc", "/v1/chat/completions"])
def test_a_server_whose_engine_is_dead_is_not_waited_for(standing, monkeypatch, owes):
    """It takes no more connections and does not answer; what it owed is asked of the other, which has the weights."""
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.02)
    good, dying, gone = standing(), standing(), threading.Event()
    answer = dying.answer

    def never(path, body):
        if path != owes or body.get("method") == "get_model_inspection":
            return answer(path, body)

        dying.close_listener()
        gone.wait(30)
        return None, None

    dying.answer = never
    began = time.monotonic()
    try:
        assert weights_of(policy_of(dying, good).generate(PROMPTS, 600, **SAMPLING)) == {len("one")}
        assert time.monotonic() - began < 25
    finally:
        gone.set()


@pytest.mark.slow
def test_a_server_of_ours_that_never_comes_to_its_end_is_started_again(standing):
    """It has been up, its process is there, and nobody listens; while it starts it is left alone."""
    first, second, starts = standing(), standing(), []

    def start():
        starts.append(own.url)
        own.url = second.url  # a real one comes back at its port

    own = SimpleNamespace(url=first.url, alive=lambda: True, start=start, log="vllm.log", end_of_log=lambda: "")
    servers = PolicyServers("m", servers=[own], wait=0.1)
    servers.load_weights("/w/one", 1)
    first.close_listener()
    servers.load_weights("/w/two", 2)
    assert starts == [first.url] and first.url not in servers._up
    servers.load_weights("/w/two", 2)
    assert weights_of(servers.generate(PROMPTS, 1, **SAMPLING)) == {len("two")} and len(starts) == 1
    own.url = "http://127.0.0.1:9/v1"  # as one that has not answered yet
    servers.load_weights("/w/three", 3)
    assert len(starts) == 1


@pytest.mark.slow
def test_a_slow_answer_is_waited_for(standing, monkeypatch):
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.02)
    server = standing()
    server.answers = lambda server, body: time.sleep(0.3)
    assert len(policy_of(server).generate(PROMPTS[:1], 1, **SAMPLING)) == 1 and responses_asked(server) == 1


def test_weights_that_are_not_taken_end_the_run_at_once(standing):
    with pytest.raises(WrongServer, match=r"weights of step 1 from /w/broken. The server must see this folder"):
        policy_of(standing(), weights="/w/broken")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shortened": 1}, "3 log-probabilities for 4 tokens. Start it without a reasoning or tool parser"),
        ({"ids": None}, "sends no token ids"),
        ({"answers": lambda server, body: 400}, "HTTP 400: as it was told"),
        ({"answers": lambda server, body: body.update(max_tokens=2)}, "cut a response off after 2 of 4 tokens"),
        (  # one that kills servers
            {"answers": lambda server, body: 0 if body["messages"] == PROMPTS[4].messages else None},
            "prompt 4 was given up by 3 servers",
        ),
    ],
)
def test_answers_that_training_cannot_use(standing, monkeypatch, changes, said):
    monkeypatch.setattr(policy, "TRIES", 3)
    server = standing()
    vars(server).update(changes)
    servers = policy_of(server)
    with pytest.raises(UserError, match=said):
        servers.generate(PROMPTS, 1, **SAMPLING)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([1, 2, 3, 4], [1, 2, 5, 3, 4], "from token 2 on: the chat template writes 'abecd' where training has 'abcd'"),
        ([1, *[PAD] * 6, 2], [1, *[PAD] * 4, 2], r"from token 5 on: a picture has \[4\] tokens there and \[6\] here"),
        ([1, 108, 2], [1, 8, 8, 2], "from token 1 on: the text is the same, and the tokenizer is not"),
    ],
    ids=["template", "pixels", "tokenizer"],
)
def test_prompts_have_the_tokens_of_training_or_the_difference_is_named(standing, ours, theirs, said):
    server = standing()
    server.ids = theirs
    servers = policy_of(server)
    with pytest.raises(UserError, match=said):
        servers.generate(PROMPTS[:1], 1, expected=[ours], **SAMPLING)

    assert servers.generate(PROMPTS[:1], 1, expected=[theirs], **SAMPLING)


@pytest.fixture(scope="module")
def model(model_folder, tmp_path_factory):
    """The real tokenizer, the configuration of a small model, and its vocabulary."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(model_folder, folder, dirs_exist_ok=True)
    text = {"num_hidden_layers": 2, "vocab_size": 1472, "hidden_size": 128}
    config = {"architectures": ["Qwen2VLForConditionalGeneration"], "text_config": text}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder), load_vocabulary(folder)


def look(model, server, **options):
    PolicyServers(model[0], urls=[server.url], **options).check(1000, images=2)


@pytest.mark.slow
def test_a_server_that_is_as_it_must_be(standing, model):
    server = standing()
    server.tokens = model[1].ids
    look(model, server, name="policy")
    assert "weights" not in server.asked[-1][1] and server.weights == "base"
    with pytest.raises(UserError, match=r"serves policy, not judge. Name what it serves"):
        look(model, server, name="judge")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": 999}, "its context has 999 tokens, prompt and response take up to 1,000. Start it with --max-"),
        ({"modules": MODULES.replace("2 x", "28 x")}, "serves another model: num_hidden_layers 28, not 2"),
        ({"modules": MODULES.replace("2VL", "3VL").replace("=128", "=64")}, "Qwen3VL.*; hidden_size 64, not 128"),
        ({"info": None}, "has no control endpoints, .* VLLM_SERVER_DEV_MODE=1"),
        (
            {"info": INFO | {"model_config": {}}},
            r"(?s)logprobs_mode is None. Start it with --logprobs-mode processed_logprobs.*--generation-config vllm",
        ),
        ({"tokens": lambda text: [1, 2]}, "its tokenizer is another one: token 0 of '<"),
    ],
)
def test_whatever_is_wrong_is_said_before_anything_is_loaded(standing, model, changes, said):
    server = standing()
    vars(server).update({"tokens": model[1].ids} | changes)
    with pytest.raises(UserError, match=said):
        look(model, server)


def test_all_servers_are_told_of_at_once(standing, model):
    small, few, gone = standing(), standing(), standing()
    small.tokens = few.tokens = model[1].ids
    small.context = 10
    few.info["model_config"]["multimodal_config"]["limit_per_prompt"]["image"]["count"] = 1
    gone.close()
    servers = PolicyServers(model[0], urls=[small.url, few.url, gone.url])
    with pytest.raises(UserError) as error:
        servers.check(1000, images=2)

    first, second, third = str(error.value).splitlines()
    assert small.url in first and "context" in first
    assert few.url in second and "takes 1 pictures a prompt, and there are prompts with 2" in second
    assert gone.url in third and "refused" in third.lower()


def test_a_server_of_ours_is_no_rank_of_the_launcher(monkeypatch, tmp_path):
    monkeypatch.setattr("virgo_factory.rollouts.servers.server.is_cpu_build", lambda: False)
    server = policy_server("m", tmp_path / "log", max_model_len=99, gpus="6,7", args=["--dtype", "float32"])
    assert server.command(1)[-4:] == ["--logprobs-mode", "processed_logprobs", "--dtype", "float32"]
    env = environment({"RANK": "0", "MASTER_PORT": "1", "CUDA_VISIBLE_DEVICES": "0", "PATH": "x"}, server.env)
    assert env["CUDA_VISIBLE_DEVICES"] == "6,7" and env["VLLM_SERVER_DEV_MODE"] == "1"
    assert env["PATH"] == "x" and not {"RANK", "MASTER_PORT"} & env.keys()
