"""Supervisor's files and interfaces, read and spoken by opsvisor.

`config` reads its configuration files, `edge` is what the daemon mounts beside its own API. This
file imports nothing, because opsvisorctl reads a part of `config` and pays for every import.
"""
