"""Supervisor's XML-RPC interface and its HTTP log paths, on top of the use cases."""
