"""Asking: what is missing is asked, appended, judged and shown."""
