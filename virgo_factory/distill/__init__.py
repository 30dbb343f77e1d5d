"""Distillation: questions, rollouts, verdicts, difficulty, selected rows. Never imports torch, vLLM or LLaMA-Factory."""
