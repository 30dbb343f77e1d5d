"""Which questions a distillation asks."""
