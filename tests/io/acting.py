"""What workers are told to do in test_workers.py: a file of its own, since each of them would import pytest with the tests."""

import os
import time


def act(item):
    """Do what an item says: ("sleep", seconds), ("exit", code), ("kill", signal), ("raise", text), or return it doubled."""
    match item:
        case "sleep", seconds:
            time.sleep(seconds)
        case "exit", code:
            os._exit(code)
        case "kill", number:
            os.kill(os.getpid(), number)
        case "raise", text:
            raise ValueError(text)
        case "big", size:
            return b"x" * size
        case "memory", size:
            return len(bytearray(size))

    return item * 2


def make_acting():
    return act


def cannot_be_made():
    raise OSError("no tokenizer there")
