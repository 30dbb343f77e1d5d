"""The command line as a user calls it, in an empty folder."""

import sys

import pytest

from virgo_factory.cli.main import main


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Call `virgo-factory ...`; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: object) -> tuple[int, str, str]:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["virgo-factory", *words])
        with pytest.raises(SystemExit) as ended:
            main(words)

        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return called
