"""Whether this machine and these names are ready for a run."""
