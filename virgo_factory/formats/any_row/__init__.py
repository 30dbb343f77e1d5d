"""What is looked at in every row, whatever its layout."""
