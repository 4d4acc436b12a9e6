"""Supervisor's configuration becomes an opsvisor.toml that asks for the same.

`comments` finds what people wrote beside their options, `expressions` carries `%(…)s` over, and
`programs` and `daemon` say in our words what the specs and settings hold. `layout` decides what is
said once for all programs and writes the text. `compare` loads what was written and holds it
against the original: whatever differs is told, so nothing can differ in silence. `migration` is
the way in. This file imports nothing: opsvisorctl pays for every import.
"""
