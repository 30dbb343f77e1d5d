"""Makes recipes/demo/*.jsonl, the rows that ship with the demo: `PYTHONPATH=tools python -m demo_rows`. Not part of the package."""
