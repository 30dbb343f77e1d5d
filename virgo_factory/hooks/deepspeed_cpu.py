"""DeepSpeed on CPU ranks: initialise its process group before the model loads.

transformers starts torch.distributed (gloo) while the arguments are parsed, but DeepSpeed's own group only once the
trainer prepares the model. ZeRO-3 needs it earlier, in `from_pretrained`, and would otherwise see one rank. On GPUs
DeepSpeed does this by itself, so only runs with `use_cpu: true` come here.
"""


RELIES_ON = {
    "hparams/parser.py": ["    if training_args.deepspeed and training_args.parallel_mode != ParallelMode.DISTRIBUTED:"],
}


def init_deepspeed_on_cpu() -> None:
    """Initialise DeepSpeed's process group with gloo."""
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
