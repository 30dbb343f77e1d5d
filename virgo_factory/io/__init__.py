"""Disks and processes. Knows nothing of rows, answers or models: those that use it say what is to be done."""
