"""The only room that touches LLaMA-Factory internals. One file a hook; virgo_factory/autoload.py says when each runs.

Every file states in RELIES_ON the lines of LLaMA-Factory that it was written against; tests/hooks/test_contract.py
fails, naming the file, when one of them changes.
"""
