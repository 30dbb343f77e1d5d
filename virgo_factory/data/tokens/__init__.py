"""How many tokens a row has, as LLaMA-Factory will count them."""
