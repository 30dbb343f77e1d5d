"""What a user can mend is one line; anything else is told as a bug, with its traceback."""

import pytest

from virgo_factory.core.errors import UserError


@pytest.fixture
def fails(monkeypatch, call):
    """A function that has `virgo-factory recipes list` fail, and returns exit code and standard error."""

    def failing(error):
        def fail(*_):
            raise error

        monkeypatch.setattr("virgo_factory.cli.recipes.recipe_files", fail)
        code, _, said = call("recipes", "list")
        return code, said

    return failing


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("a.yaml: no such key"), "a.yaml: no such key"),
        (FileNotFoundError(2, "No such file or directory", "a.yaml"), "a.yaml: No such file or directory."),
        (
            PermissionError(13, "Permission denied", "a"),
            "a: Permission denied. Change its rights, or name another place.",
        ),
        (OSError("no index can be made"), "no index can be made"),
    ],
)
def test_what_a_user_can_mend_is_one_line(fails, error, told):
    code, said = fails(error)
    assert (code, said) == (1, f"virgo-factory: {told}\n")


@pytest.mark.parametrize("error", [ValueError("zip() argument 2 is shorter than argument 1"), KeyError("x")])
def test_a_bug_is_told_as_a_bug(fails, error):
    code, said = fails(error)
    assert code == 1
    assert "Traceback (most recent call last)" in said and f"{type(error).__name__}: {error}" in said
    assert said.splitlines()[-1].endswith("the row or recipe if the command needs one.")


def test_the_traceback_of_a_users_error_on_demand(fails, monkeypatch):
    monkeypatch.setenv("VIRGO_FACTORY_TRACEBACK", "1")
    code, said = fails(UserError("a.yaml: no such key"))
    assert code == 1 and "Traceback" in said and said.splitlines()[-1] == "virgo-factory: a.yaml: no such key"
    assert "bug" not in said
