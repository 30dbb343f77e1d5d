"""The model: marker tokens, adapters."""
