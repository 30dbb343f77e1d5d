"""How the plugin gets into a stock `llamafactory-cli`, in every process and under torchrun.

PyTorch calls the entry points of the group `torch.backends` at the end of `import torch` (torch/__init__.py,
`_import_device_backends`). Ours, `autoload`, only puts one finder on `sys.meta_path`: nothing of LLaMA-Factory, torch
or this package is imported, until LLaMA-Factory imports one of the modules in HOOKS. Then the hook is applied to
that module, once, right after the module has run.
"""

import contextlib
import importlib
import os
import sys


HOOKS = {
    "llamafactory.hparams.data_args": "start.arguments",  # recipe keys: of rows,
    "llamafactory.hparams.model_args": "start.arguments",  # of the vocabulary,
    "llamafactory.hparams.finetuning_args": "start.arguments",  # of the training
    "llamafactory.hparams.parser": "start.run",  # what a run must satisfy, before anything is loaded
    "llamafactory.data.mm_plugin": "template.pictures",  # pictures as the model is to see them
    "llamafactory.data.template": "template.template",  # template: virgo, omr, ...
    "llamafactory.data.converter": "data.converter",  # formatting: long_thought, virgo_dt, ...
    "llamafactory.data.collator": "rows.packed_mask",  # neat_packing without flash-attention
    "llamafactory.data.parser": "data.dataset_lookup",  # datasets that the package knows
    "llamafactory.data.loader": "data.loader",  # rows from file to tokenised table, and their account
    "llamafactory.model.loader": "model.marker_tokens",  # marker_tokens, and adapters served as trained
    "llamafactory.train.trainer_utils": "train.resume",  # resuming, the best model, kept epochs: every stage
    "llamafactory.train.sft.workflow": "train.trainer",  # batch_order
    "llamafactory.train.sft": "train.ending",  # what is told again at the end of a training
    "llamafactory.train.dpo": "train.ending",
    "llamafactory.api.app": "template.served_pictures",  # pictures that users send to the API server,
    "llamafactory.webui.components.chatbot": "template.served_pictures",  # and to LlamaBoard's chat
    "llamafactory.webui.chatter": "template.served_pictures",
    "llamafactory.webui.components.data": "data.board",  # LlamaBoard's preview of our datasets
}
"""Module of LLaMA-Factory -> module in virgo_factory/hooks whose HOOK is applied to it (virgo_factory/hooks/hook.py)."""

TESTED = ("0.9.5",)
"""Versions of LLaMA-Factory whose internals the hooks were written against and tested with."""

failures: dict[str, BaseException] = {}
"""Hooks that could not be applied, and why. A run that uses the plugin refuses to start then (`check_hooks`)."""


applied: set[str] = set()
"""Modules of LLaMA-Factory whose turn has come in this process, whatever finder was there."""


class HookFinder:
    """A meta-path finder that finds nothing by itself: it lets the others find, and hooks the modules of HOOKS."""

    def __init__(self) -> None:
        self.applying = 0

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a hooked module, with its loader wrapped; None for every other module."""
        if len(applied) == len(HOOKS):
            return None

        if sys.meta_path[0] is not self:  # a later import hook would answer for LLaMA-Factory before us
            sys.meta_path.remove(self)
            sys.meta_path.insert(0, self)

        self.apply_to_loaded()
        if name not in HOOKS or name in applied:
            return None

        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue

            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "create_module") and hasattr(spec.loader, "exec_module"):  # else: hooked later
                    spec.loader = HookingLoader(spec.loader, self._apply)

                return spec

        return None

    def apply_to_loaded(self) -> None:
        """Hook the modules that had been imported, or had begun to be, before this finder was installed."""
        for name in HOOKS:
            module = sys.modules.get(name)
            if name not in applied and module is not None and not getattr(module.__spec__, "_initializing", False):
                self._apply(module)

    def _apply(self, module) -> None:
        name = module.__name__
        if name in applied or (not self.applying and _hooks_are_being_imported()):
            return  # in the second case its turn comes with the next import

        applied.add(name)
        self.applying += 1
        try:
            importlib.import_module(f"virgo_factory.hooks.{HOOKS[name]}").HOOK.apply(module)
        except BaseException as error:  # an import of LLaMA-Factory must never fail because of us
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise

            failures[f"{HOOKS[name]} on {name}"] = error
            if name == "llamafactory.hparams.parser":
                with contextlib.suppress(Exception):
                    _explain_unknown_keys(module)
        finally:
            self.applying -= 1


class HookingLoader:
    """A loader that lets another one make and run a module, which is then hooked.

    The other one is not changed: it may be a proxy (wrapt's) that hands a change on to what it stands for.
    """

    def __init__(self, loader, apply) -> None:
        self.loader, self.apply = loader, apply

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        """Return the module that the other loader makes."""
        return self.loader.create_module(spec)

    def exec_module(self, module):
        """Run a module, which has its own loader again from then on, and hook it."""
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.apply(module)


def _hooks_are_being_imported() -> bool:
    """Whether somebody else has begun to import one of our hook files, which imports LLaMA-Factory in turn."""
    names = [name for name in list(sys.modules) if name.startswith("virgo_factory.hooks.")]
    return any(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False) for name in names)


def check_hooks() -> None:
    """Raise if a hook does not act: the run would silently train on something else.

    Called where a run shows that it uses the plugin: its keys, its templates, its formattings.

    Raises:
        RuntimeError: with every failed hook, and what to do.
    """
    if failures:
        raise RuntimeError(failure_message())

    install()  # somebody may have taken the finder away
    for finder in sys.meta_path:
        if isinstance(finder, HookFinder):
            finder.apply_to_loaded()  # what another import hook kept from us

    idle = [f"{name}: imported, but not hooked" for name in HOOKS if name in sys.modules and name not in applied]
    placed = sys.modules.get("virgo_factory.hooks.hook")
    if placed is not None:
        idle += [f"{place}: LLaMA-Factory's own again" for place in placed.not_acting()]

    if failures:
        raise RuntimeError(failure_message())

    if idle:
        raise RuntimeError(
            "virgo-factory is not attached to these parts of LLaMA-Factory:\n  " + "\n  ".join(idle) + "\nSomething "
            "reloaded or replaced them. Call virgo_factory.register() before LLaMA-Factory is imported, and leave out the "
            "other import hook."
        )


def failure_message() -> str:
    """Return which hooks failed, why, and what to do."""
    import importlib.metadata

    failed = "\n".join(f"  {name}: {type(error).__name__}: {error}" for name, error in failures.items())
    return (
        f"virgo-factory could not attach itself to LLaMA-Factory {importlib.metadata.version('llamafactory')} "
        f"(tested: {', '.join(TESTED)}):\n{failed}\n"
        "Install a tested version, or set VIRGO_FACTORY_DISABLE=1 and remove its keys."
    )


def _explain_unknown_keys(module) -> None:
    """Add why to the errors of a parser that may not know the plugin's keys."""

    def explaining(stock):
        def parse(args=None):
            try:
                return stock(args)
            except Exception as error:
                if failure_message() not in str(error):
                    error.add_note(failure_message())

                raise

        return parse

    for holder in (
        module,
        sys.modules.get("llamafactory.hparams"),
    ):  # whoever imports them later takes them from there
        for name in ("get_train_args", "get_infer_args"):
            stock = getattr(holder, name, None)
            if stock is not None:
                setattr(holder, name, explaining(stock))


def autoload() -> None:
    """Entry point of the group `torch.backends`. Never raises; does nothing when VIRGO_FACTORY_DISABLE is set."""
    try:
        install()
    except Exception as error:
        failures["autoload"] = error

    program = os.path.basename((getattr(sys, "argv", None) or [""])[0])
    if program.removesuffix(".exe") in ("llamafactory-cli", "lmf", "cli.py", "launcher.py") and not is_disabled():
        with contextlib.suppress(Exception):  # whatever it is, LLaMA-Factory tells it as well
            importlib.import_module("virgo_factory.preflight.doctor.names").check_command_line(sys.argv)


def is_disabled() -> bool:
    """Whether `VIRGO_FACTORY_DISABLE=1` switches the plugin off."""
    return os.environ.get("VIRGO_FACTORY_DISABLE", "").lower() in ("1", "true", "yes", "y")


def install() -> None:
    """Install the finder, once a process, unless the plugin is switched off."""
    if is_disabled():
        return

    if not any(isinstance(finder, HookFinder) for finder in sys.meta_path):
        finder = HookFinder()
        sys.meta_path.insert(0, finder)
        finder.apply_to_loaded()
