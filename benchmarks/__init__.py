"""Measurements of opsvisor beside its peers, in one run on one machine."""
