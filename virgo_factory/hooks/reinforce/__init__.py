"""Reinforcement learning under the stock command: `stage: grpo`."""
