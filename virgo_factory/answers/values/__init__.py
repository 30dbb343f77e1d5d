"""A text as a value: one spelling for many, then a number, formula, unit, moment or several of them."""
