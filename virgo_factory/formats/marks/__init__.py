"""What a row says of its response: wrong, cut off, not to be learned."""
