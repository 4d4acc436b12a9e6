"""Prometheus rules for opsvisor, and how they are made. Not part of the installed package."""
