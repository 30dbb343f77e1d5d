"""Rows and their numbers for people: preview, stats, pages, plots."""
