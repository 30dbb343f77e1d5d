"""Pictures with captions and boxes, of any known layout -> scenes; what can be told from boxes alone, and checked by it."""
