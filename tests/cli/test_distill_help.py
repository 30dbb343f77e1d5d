"""The groups `virgo-factory distill`, `evaluate` and `reinforce`: what a user reads before anything is started."""

import pytest

from virgo_factory.cli import distill, evaluate, reinforce


def test_the_group_names_its_verbs(call):
    code, shown, _ = call("distill")
    lines = [line.split()[0] for line in shown.partition("Verbs:")[2].splitlines() if line[2:3].strip()]
    verbs = list(distill.VERBS)
    assert not code and lines[: len(verbs)] == verbs == ["questions", "run", "status", "resume", "select", "merge"]
    assert "virgo-factory distill run recipes/distill/dsd_virgo7b.yaml --dry-run" in shown


GROUPS = {"distill": distill, "evaluate": evaluate, "reinforce": reinforce}


@pytest.mark.parametrize(("group", "verb"), [(name, verb) for name, group in GROUPS.items() for verb in group.VERBS])
def test_each_verb_says_what_it_does(group, verb, call):
    code, shown, _ = call(group, verb, "--help")
    assert not code and shown.startswith(f"Usage: virgo-factory {group} {verb} ")
    example = shown.partition("Example")[2]
    assert f"virgo-factory {group} {verb} " in example and len(example.splitlines()) > 2
    assert max(map(len, shown.splitlines())) <= 119
