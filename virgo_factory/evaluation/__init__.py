"""Benchmarks -> questions; rollouts -> scores with error bars; own numbers beside the paper's."""
