"""The commands run and resume: what they print, what they refuse, and what they do not need any more."""

import pytest

from virgo_factory.cli.distill.run import shard_of
from virgo_factory.rollouts.store.store import RolloutStore, read_rollouts


pytestmark = pytest.mark.usefixtures("judge_at_hand")


@pytest.fixture
def written(sky_config, tmp_path):
    """A function that writes a config file of so many questions, and returns the file and the config."""

    def write(count: int, **keys):
        config = sky_config(count, **keys)
        file = tmp_path / "config.yaml"
        file.write_text(config.text(), encoding="utf-8")
        return file, config

    return write


def test_a_run_says_how_it_ended_and_what_is_next(start_replay, written, command):
    server = start_replay(max_chars=4000)
    file, config = written(3, urls=[server.url])
    folder = config.output_dir
    code, told, _ = command("distill", "run", file, "max_rollouts=10")
    assert code == 0
    assert told.splitlines()[-3:] == [
        "10 rollouts were made in this start.",
        "Left: 5 rollouts of 1 question. The budget is used up (max_rollouts: 10): raise it first.",
        f"Go on: virgo-factory distill resume {folder}",
    ]
    assert "replay: 10 of 15 · " in told

    code, told, _ = command("distill", "resume", folder, "max_rollouts=null")
    assert told.splitlines()[-2:] == [
        "5 rollouts were made in this start.",
        f"All is asked. Next: virgo-factory distill select {folder}",
    ]
    assert command("distill", "resume", folder) == (
        0,
        f"All is asked. Next: virgo-factory distill select {folder}\n",
        "",
    )


def test_where_all_was_refused_nothing_is_said_to_be_selected(start_replay, written, command):
    file, config = written(2, urls=[start_replay(max_model_len=1000).url], max_tokens=500)
    config.questions.write_text(
        config.questions.read_text().replace('"question": "', f'"question": "{"Look. " * 1000}')
    )
    code, told, _ = command("distill", "run", file)
    assert code == 1 and told.splitlines()[-2].startswith("2 questions could not be asked: ")
    assert told.splitlines()[-1] == "No question got a response, so there is nothing to select."
    assert "distill select" not in command("distill", "status", config.output_dir)[1]


def test_a_dry_run_shows_the_first_prompt_and_calls_nobody(start_replay, written, command):
    server = start_replay()
    file, config = written(3, urls=[server.url])
    code, told, _ = command("distill", "run", file, "--dry-run", "question_prefix=virgo")
    assert code == 0
    assert "picture of 56 x 56 pixels" in told
    assert r"| Please first think deeply about the question, and then put the final answer in \boxed{}." in told
    assert "Requests: 15 to replay, 5 a question" in told
    assert server.asked()["started"] == []
    assert not config.output_dir.exists()


def test_resume_does_not_need_where_the_questions_came_from_and_a_folder_may_be_moved(
    start_replay, written, command, tmp_path
):
    server = start_replay(max_chars=4000)
    file, config = written(2, urls=[server.url], max_rollouts=5)
    command("distill", "run", file)
    config.questions.unlink()
    moved = config.output_dir.rename(tmp_path / "moved here")
    code, told, error = command("distill", "resume", moved, "max_rollouts=null")
    assert (code, error) == (0, "")
    assert told.splitlines()[-1] == f"All is asked. Next: virgo-factory distill select '{moved}'"
    assert len(list(read_rollouts(moved))) == 10 and not config.output_dir.exists()
    code, _, error = command("distill", "resume", tmp_path)
    assert code == 1 and "is no folder of a distillation" in error


def test_what_is_refused_is_one_line(start_replay, written, command):
    server = start_replay(not_vllm=True)
    file, config = written(2, urls=[server.url])
    code, _, error = command("distill", "run", file)
    assert code == 1
    assert error.count("\n") == 1
    assert error.startswith("virgo-factory: ")
    with RolloutStore(config.output_dir):
        code, _, error = command("distill", "run", file)

    assert code == 1
    assert "writes to it since" in error


@pytest.mark.parametrize("text", ["0/8", "9/8", "1", "1/", "/2", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none(text):
    with pytest.raises(ValueError, match="expected I/N with I from 1 to N, such as 2/8"):
        shard_of(text)
