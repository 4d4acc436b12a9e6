"""What one daemon has the next one know: its state directory, its lock, and the memory in it."""
