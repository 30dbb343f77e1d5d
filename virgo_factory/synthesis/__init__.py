"""Synthesis: pictures with captions and boxes -> questions, composed questions, thoughts, rows for SFT and DPO.

One folder is one synthesis; each stage is a file of it that a person can open, and has two halves. *Asking* appends the replies of
a role (writer, solver, blind, composer, thinker, reasoner) to a file, each found by what was sent; *making* reads them in the order
of the scenes and writes what is kept, with a card that counts what was dropped and why. `words` is what the halves hand on;
`scenes`, `questions` and `thoughts` are pure and know no server; `run` asks, makes and tells.
"""
