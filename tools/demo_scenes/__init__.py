"""Scenes drawn by program, whose truth is known, and a server that plays every role of a synthesis, makes faults, and tells which.

`truth` knows what a scene shows; `writer`, `solver` and `thinker` say what a role says, right or with a fault; `server` serves them.
`PYTHONPATH=tools python -m demo_scenes` records what ships in recipes/demo/synthesis. Not part of the package.
"""
