"""The demo: long thoughts made by program, a tiny model, the stock training command, and the proof of what it did."""
