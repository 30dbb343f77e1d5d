"""Files -> rows: which files, their rows one by one, the pictures that they name."""
