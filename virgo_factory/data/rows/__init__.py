"""Every row through format, rules and tokenizer, in worker processes."""
