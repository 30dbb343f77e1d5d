"""A server that plays every role of a synthesis about scenes drawn by program, makes known faults, and tells which. Demo and tests only.

`truth` knows what a scene shows; `writer`, `solver` and `thinker` say what a role says, right or with a fault; `server` serves them.
"""
