"""What a folder holds, for people."""
