"""Responses to verdicts: by rules, and by a language model where it is asked."""
