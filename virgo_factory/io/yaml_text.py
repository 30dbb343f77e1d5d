"""YAML by libyaml, ten times as fast as what PyYAML has in Python: a configuration is read again at every look at its folder."""

import re
from typing import Any

import yaml


_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
_LONG = 1 << 14
"""From so many characters on a text may be nested so deep that libyaml ends the process."""


class _Python(yaml.SafeLoader):
    """PyYAML's loader, for which 1e-5 is a number, as for LLaMA-Factory's (OmegaConf)."""


class _C(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The same by libyaml, where it is there."""


for _loader in (_Python, _C):
    _loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))


def loader_of(text: str) -> type:
    """Return the loader of a text: libyaml's, where it is there."""
    return _C if len(text) < _LONG else _Python


def read_yaml(text: str) -> Any:
    """Return the value of a text.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: it is not YAML.

    >>> read_yaml("{seed: 0, learning_rate: 1e-5}")
    {'seed': 0, 'learning_rate': 1e-05}
    """
    return yaml.load(text, Loader=loader_of(text))
