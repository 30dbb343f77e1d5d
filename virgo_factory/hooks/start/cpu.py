"""Training on CPU ranks (`use_cpu: true`), which GPU runs never come through: four repairs of the stack below.

- transformers starts torch.distributed (gloo) while the arguments are parsed, but DeepSpeed's own group only once the
  trainer prepares the model. ZeRO-3 needs it earlier, in `from_pretrained`, and would otherwise see one rank.
- DeepSpeed gathers several parameters at once and waits for the last transfer only, which means all of them on a GPU's
  stream but not with gloo (deepspeed 0.18.4, runtime/zero/partition_parameters.py, `_allgather_params_coalesced`): now
  and then a weight is loaded with garbage in it, and the loss is nan.
- a gloo thread that asks for the interpreter's lock while Python shuts down aborts the process ("terminate called without
  an active exception"), now and then after a ZeRO-3 run; torchrun then stops the rank that is still saving the model.
- a CPU rank's device is `cpu:0`, which `torch.load` cannot restore an optimiser's state to (transformers 4.57.6,
  trainer.py:3578), so that no CPU run of several ranks could resume.
"""

import atexit
import logging
import os
import sys
from typing import Any


RELIES_ON = {
    "llamafactory/hparams/parser.py:353": "    if training_args.deepspeed and training_args.parallel_mode != ParallelMode.DISTRIBUTED:",
    "llamafactory/launcher.py:182": 'if __name__ == "__main__":\n    from llamafactory.train.tuner import run_exp',
}

LAUNCHER = os.path.join("llamafactory", "launcher.py")
"""The script that torchrun starts; it never calls sys.exit, so an exception is all that can make a rank fail."""


def prepare_cpu_ranks(training_args: Any) -> None:
    """Make a run on CPU ranks able to use ZeRO-3 and to resume."""
    import torch

    if training_args.device.index is not None:
        vars(training_args)["_setup_devices"] = torch.device("cpu")  # the cached property behind `device`

    if training_args.deepspeed:
        import deepspeed

        # An operator for shared memory that DeepSpeed would compile first, for minutes, or fail without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="gloo", verbose=False)
        _finish_each_gather()
        if str(getattr(sys.modules["__main__"], "__file__", "")).endswith(LAUNCHER):
            _leave_without_shutting_down()


def _finish_each_gather() -> None:
    from deepspeed import comm

    stock = comm.all_gather_into_tensor
    if hasattr(stock, "waits"):
        return

    def all_gather_into_tensor(*args, **kwargs):
        handle = stock(*args, **kwargs)
        if handle is not None:
            handle.wait()

        return handle

    all_gather_into_tensor.waits = True
    comm.all_gather_into_tensor = all_gather_into_tensor


def _leave_without_shutting_down() -> None:
    """End this process after the exit functions of the run, with the status that it would have had.

    Exit functions registered before (by imports) do not run, since Python offers no way to run just those.
    """
    failed = []
    report = sys.excepthook

    def excepthook(*error):
        failed.append(error)
        report(*error)

    def leave():
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1 if failed else 0)

    sys.excepthook = excepthook
    atexit.register(leave)
