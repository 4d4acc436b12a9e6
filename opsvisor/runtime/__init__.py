"""DOES. asyncio and Linux."""
