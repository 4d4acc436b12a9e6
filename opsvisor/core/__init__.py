"""DECIDES. Pure: no clock, no I/O, no randomness, no logging, no asyncio."""
