"""Pictures of a row: columns that hold them, and where they stand in the text."""
