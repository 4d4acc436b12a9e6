"""What a migration has to tell: what our format can't say, and what is good to know."""

from opsvisor.config.problems import Place
from opsvisor.core.struct import Struct, field


class Finding(Struct, frozen=True, kw_only=True):
    """One thing about the part of a configuration that began as [`section`] ("": the whole)."""

    section: str
    where: Place
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """One line, with where it was in Supervisor's file."""
        return f"{self.where}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class Findings(Struct):
    """Differences mean that opsvisord will do something else, notes that it won't."""

    differences: dict[Finding, None] = field(default_factory=dict)
    notes: dict[Finding, None] = field(default_factory=dict)

    def differ(self, section: str, where: Place, what: str, hint: str = "") -> None:
        """Note a difference, once."""
        self.differences[Finding(section=section, where=where, what=what, hint=hint)] = None

    def note(self, section: str, where: Place, what: str, hint: str = "") -> None:
        """Note something good to know, once."""
        self.notes[Finding(section=section, where=where, what=what, hint=hint)] = None
