"""Read both plan formats, validate, order, slice per host."""
