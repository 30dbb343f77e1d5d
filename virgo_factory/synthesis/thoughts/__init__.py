"""Thoughts about questions: short ones of a model that sees, expansions by one that reasons, and the rows made of both. Pure."""
