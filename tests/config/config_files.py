"""What the fixtures of this directory give to a test."""

from collections.abc import Callable

from opsvisor.config.settings import Loaded

# Loads a text as opsvisor.toml.
Load = Callable[[str], Loaded]
# All problems of a text that can't be loaded, as users see them, without the directory.
Complaints = Callable[[str], str]
