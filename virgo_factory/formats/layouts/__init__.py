"""How rows are laid out, whatever their family: conversations, pairs of columns, tags, thoughts in fields of their own."""
