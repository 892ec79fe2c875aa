"""Ways for other libraries to take their tokens from here; each is loaded by its own name."""
