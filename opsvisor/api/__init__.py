"""The HTTP API: one module per noun, errors and access in one place each."""
