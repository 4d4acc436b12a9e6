"""How long hypothesis may look for trouble."""

from hypothesis import Phase, settings

# Planted bugs (mutants.py) need to be found, not to be explained.
settings.register_profile("find-only", phases=[Phase.generate], derandomize=True)
