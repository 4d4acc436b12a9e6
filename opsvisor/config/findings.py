"""What was found while a configuration was read, before anybody decides what to do about it."""

from opsvisor.config.problems import Problem
from opsvisor.core.struct import Struct, field


class Findings(Struct, frozen=True, kw_only=True):
    """Problems make a configuration unusable, warnings don't. Both grow while it is read."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def in_order(self, files: tuple[str, ...]) -> "Findings":
        """Each finding once, in the order of the files and their lines."""
        rank = {file: number for number, file in enumerate(files)}

        def key(problem: Problem) -> tuple[int, int]:
            return rank.get(problem.where.file, len(rank)), problem.where.line

        return Findings(
            problems=sorted(dict.fromkeys(self.problems), key=key),
            warnings=sorted(dict.fromkeys(self.warnings), key=key),
        )
