"""Reinforcement learning beside the trainer: prompts for another engine, and what a training by `stage: grpo` did."""
