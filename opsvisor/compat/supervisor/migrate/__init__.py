"""Supervisor's configuration becomes an opsvisor.toml that asks for the same.

`made_up` gets it read whichever variables are set, `source` looks at it in all its forms,
`comments` finds what people wrote beside their options, and `expressions`
carries `%(…)s` over. `programs` and `daemon` say in our words what specs and settings hold, and
`tables` which tables there are. `document` writes them, as `layout` has it; `control` and `notes`
tell what is good to know. `compare` loads what was written and holds it against the original:
whatever differs is told, so nothing can differ in silence. `migration` is the way in. This file
imports nothing: opsvisorctl pays for every import.
"""
