"""The training: order of rows, resuming, checkpoints, its end."""
