"""Rollouts to training rows."""
