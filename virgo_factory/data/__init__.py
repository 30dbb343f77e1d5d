"""Files <-> examples."""
