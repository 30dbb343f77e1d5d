"""The groups `virgo-factory distill`, `evaluate` and `reinforce`: what a user reads before anything is started."""

import pytest

from virgo_factory.cli.distill import VERBS
from virgo_factory.cli.evaluate import VERBS as EVALUATE
from virgo_factory.cli.main import main
from virgo_factory.cli.reinforce import VERBS as REINFORCE


def read_help(capsys, *arguments: str, group: str = "distill") -> str:
    with pytest.raises(SystemExit) as ended:
        main([group, *arguments])

    assert not ended.value.code
    return capsys.readouterr().out


def test_the_group_names_its_verbs(capsys):
    shown = read_help(capsys)
    lines = [line.split()[0] for line in shown.partition("Verbs:")[2].splitlines() if line[2:3].strip()]
    assert lines[: len(VERBS)] == list(VERBS) == ["questions", "run", "status", "resume", "select", "merge"]
    assert "virgo-factory distill run recipes/distill/dsd_virgo7b.yaml --dry-run" in shown


@pytest.mark.parametrize(
    ("group", "verb"),
    [
        (group, verb)
        for group, verbs in (("distill", VERBS), ("evaluate", EVALUATE), ("reinforce", REINFORCE))
        for verb in verbs
    ],
)
def test_each_verb_says_what_it_does(group, verb, capsys):
    """Its first line stands above its options, and an example with what it really printed below them."""
    shown = read_help(capsys, verb, "--help", group=group)
    assert shown.startswith(f"Usage: virgo-factory {group} {verb} ")
    example = shown.partition("Example")[2]
    assert f"virgo-factory {group} {verb} " in example and len(example.splitlines()) > 2
    assert max(map(len, shown.splitlines())) <= 119
