"""Scenes and replies -> questions: written (`writing`), tried by solvers (`votes`), composed of others (`composition`). Pure.

`grammar` reads what a writer wrote, `validity` says what is wrong with it.
"""
