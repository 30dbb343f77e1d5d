"""The only room that touches LLaMA-Factory internals. One file a hook, all of one form (hook.py); autoload.py lists them.

The folders follow a run: start, data, rows, template, model, train.

Every file states in RELIES_ON, by file and line, the text of LLaMA-Factory and of the libraries below it that it was
written against; tests/hooks/test_contract.py fails, naming the file, when one of them changes.
"""
