"""From aligned rows to tokens that are trained on, or that are dropped with a reason."""
