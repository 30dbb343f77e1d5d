"""Datasets, each a family of its own: raw row -> Example(s)."""
