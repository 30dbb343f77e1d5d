"""The pictures of released sets whose rows only name them."""
