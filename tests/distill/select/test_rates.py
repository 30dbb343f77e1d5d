"""Questions by how often a model answered them: `data slice FOLDER OUT --pass-rate` on a folder of a distillation."""

import json

import pytest

from virgo_factory.cli.main import main
from virgo_factory.distill.launch import distil
from virgo_factory.rollouts.judge.verdicts import read_verdicts


pytestmark = pytest.mark.usefixtures("judge_at_hand")


def cut(capsys, what: str, out: str, bounds: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["data", "slice", what, out, "--pass-rate", bounds])

    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_hardest_questions_of_a_folder(start_replay, sky_config, tmp_path, monkeypatch, capsys):
    """Each question as it stands in its file, with the share of its samples that is right; a cut of them is a dataset."""
    server = start_replay(max_chars=4000)
    config = sky_config(12, urls=[server.url])
    distil(config)
    right, judged = {}, {}
    for verdict in read_verdicts(config.output_dir):
        if verdict.verdict != "unverifiable":
            judged[verdict.question] = judged.get(verdict.question, 0) + 1
            right[verdict.question] = right.get(verdict.question, 0) + (verdict.verdict == "correct")

    rates = {question: right[question] / count for question, count in judged.items()}
    hard = sorted(question for question, rate in rates.items() if rate <= 0.25)
    assert 0 < len(hard) < len(rates)
    monkeypatch.chdir(tmp_path)
    told = cut(capsys, str(config.output_dir), "hard.jsonl", "0:0.25")
    assert f"hard.jsonl: 12 rows read, {len(hard)} written" in told and "right more often than 0.25" in told
    rows = [json.loads(line) for line in (tmp_path / "hard.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(row["id"] for row in rows) == hard
    assert all(row["pass_rate"] == pytest.approx(rates[row["id"]], abs=1e-4) for row in rows)
    entry = json.loads((tmp_path / "hard.card.json").read_text(encoding="utf-8"))["entry"]
    (tmp_path / "dataset_info.json").write_text(json.dumps(entry), encoding="utf-8")
    cut(capsys, "hard", "never.jsonl", "0:0")
    never = [json.loads(line) for line in (tmp_path / "never.jsonl").read_text(encoding="utf-8").splitlines()]
    assert never == [row for row in rows if row["pass_rate"] == 0]
