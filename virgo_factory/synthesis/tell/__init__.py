"""What a synthesis will ask, has done, and how it looks."""
