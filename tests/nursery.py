"""Fresh processes that cost little: each is forked from one that has imported all that LLaMA-Factory imports, but not LLaMA-Factory.

This file is also the script that the first process runs: `python tests/nursery.py` answers lines of JSON.
"""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path


def clean(environment: dict[str, str]) -> dict[str, str]:
    """Return our environment without switches of the plugin, and with more."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VIRGO_FACTORY_")} | environment


class Nursery:
    """The process from which others are forked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, code: str, before: str = "", **environment: str) -> str:
        """Return what code printed, run behind other code and then torch's autoload, which `import torch` ends with."""
        out, err = (self.folder / f"{time.monotonic_ns()}.{name}" for name in ("out", "err"))
        request = {"code": textwrap.dedent(code), "before": textwrap.dedent(before), "out": str(out), "err": str(err)}
        print(json.dumps(request | {"environment": clean(environment)}), file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "0\n", err.read_text()[-3000:]
        return out.read_text()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def answer() -> None:
    """Fork a process for each line, and print its exit status."""
    os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"
    import accelerate  # noqa: F401
    import av  # noqa: F401
    import datasets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import omegaconf  # noqa: F401
    import peft  # noqa: F401
    import torch
    import torchaudio  # noqa: F401
    import torchvision  # noqa: F401
    import transformers.trainer_seq2seq

    if transformers.__version__ < "5":  # else TRL can be imported only after LLaMA-Factory, which mends it
        import trl.models
        import trl.trainer.dpo_trainer
        import trl.trainer.kto_trainer
        import trl.trainer.ppo_trainer  # noqa: F401

    assert not [name for name in sys.modules if name.startswith(("llamafactory", "virgo_factory"))]
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.clear()
            os.environ.update(request["environment"])
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT), number)

            exec(request["before"], {})
            if os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD") != "0":
                torch._import_device_backends()

            exec(request["code"], {"__name__": "__main__"})
            sys.stdout.flush()
            os._exit(0)

        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    answer()
