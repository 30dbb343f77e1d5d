"""The files of a folder of rollouts, and the index beside them."""
