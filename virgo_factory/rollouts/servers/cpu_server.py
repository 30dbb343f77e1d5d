"""vLLM's server on the CPU with its engine forked, `python -m virgo_factory.rollouts.servers.cpu_server ARGUMENTS of vLLM`.

vLLM starts its engine as a new process, which imports all of vLLM once more: a third of the 40 seconds of processor time that the
start of a tiny model takes. There is no accelerator here that a fork would break; the engine is forked before the first
picture is looked at, so that no thread of OpenMP is lost.
"""

import multiprocessing

import uvloop
from vllm.utils import system_utils


# Before what takes it from there is imported. The platform writes "spawn" into the environment, whatever stands there.
system_utils.get_mp_context = lambda: multiprocessing.get_context("fork")

from vllm.entrypoints.openai.api_server import run_server  # noqa: E402
from vllm.entrypoints.openai.cli_args import make_arg_parser, validate_parsed_serve_args  # noqa: E402
from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: E402


def main() -> None:
    """Do what vllm/entrypoints/openai/api_server.py does as a program (0.20.2)."""
    args = make_arg_parser(FlexibleArgumentParser()).parse_args()
    validate_parsed_serve_args(args)
    uvloop.run(run_server(args))


if __name__ == "__main__":
    main()
