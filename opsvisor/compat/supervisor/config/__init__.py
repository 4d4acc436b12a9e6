"""Supervisor's configuration files, read.

They become a `Loaded` in three steps: `ini` finds sections and where each key stands, `sections`
turns texts into values by the tables of `options`, and `programs`, `groups` and `daemon` build
what the rest of opsvisor understands. `load` is the way in. This file imports nothing, because
opsvisorctl reads `control_file` and pays for every import.
"""
