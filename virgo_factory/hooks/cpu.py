"""Training on CPU ranks (`use_cpu: true`), which GPU runs never come through: three repairs of the stack below.

- transformers starts torch.distributed (gloo) while the arguments are parsed, but DeepSpeed's own group only once the
  trainer prepares the model. ZeRO-3 needs it earlier, in `from_pretrained`, and would otherwise see one rank.
- DeepSpeed gathers several parameters at once and waits for the last transfer only, which means all of them on a GPU's
  stream but not with gloo (deepspeed 0.18.4, runtime/zero/partition_parameters.py, `_allgather_params_coalesced`): now
  and then a weight is loaded with garbage in it, and the loss is nan.
- a CPU rank's device is `cpu:0`, which `torch.load` cannot restore an optimiser's state to (transformers 4.57.6,
  trainer.py:3578), so that no CPU run of several ranks could resume.
"""

from typing import Any

import torch


RELIES_ON = {
    "hparams/parser.py": [
        "    if training_args.deepspeed and training_args.parallel_mode != ParallelMode.DISTRIBUTED:"
    ],
}


def prepare_cpu_ranks(training_args: Any) -> None:
    """Make a run on CPU ranks able to use ZeRO-3 and to resume."""
    if training_args.device.index is not None:
        vars(training_args)["_setup_devices"] = torch.device("cpu")  # the cached property behind `device`

    if training_args.deepspeed:
        import deepspeed

        # An operator for shared memory that DeepSpeed would compile first, for minutes, or fail without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="gloo", verbose=False)
        _finish_each_gather()


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
