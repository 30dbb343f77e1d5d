"""The demos: tiny models, the stock training command, and the proof of what it did. Each is steps, and files in saves/.

A step is a command of the recipes as they are, which can be entered by hand where they were copied.
"""
