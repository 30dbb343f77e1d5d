"""Tiny random models with the architecture of real ones."""
