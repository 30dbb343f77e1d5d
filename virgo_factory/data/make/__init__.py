"""Rows of files into a new file: convert, mix, slice."""
