"""What people read of an output: a card beside it, a page, plots, tables on a terminal. Knows no domain."""
