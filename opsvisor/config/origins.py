"""Where the values of a program were written, as far as anybody wrote them.

Kept for as long as the programs are, so it is packed: 20 bytes or so for each option that somebody
wrote. It is unpacked when somebody asks.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType

from opsvisor.config.problems import Place
from opsvisor.core.spec import ProcessId
from opsvisor.core.struct import Struct, field


class How(Enum):
    """How a value came to a process from where it was written."""

    WRITTEN = ""  # for this program
    DEFAULTS = "defaults"  # for all programs
    ENV_FILE = "env_file"
    TEMPLATE = "template"  # with the names of the process, or variables of the daemon, filled in


class Origin(Struct, frozen=True):
    """Where one value was written, and how it came from there."""

    place: Place
    how: How = How.WRITTEN


# By the dotted name of the option.
Written = Mapping[str, Origin]
NOTHING: Written = MappingProxyType({})

_HOW = {how: number for number, how in enumerate(How)}
_BY_NUMBER = tuple(How)


class GroupOrigins(Struct, frozen=True):
    """What was written of the programs of one group, and of single processes besides."""

    files: tuple[str, ...] = ()
    programs: dict[str, str] = field(default_factory=dict)
    processes: dict[str, str] = field(default_factory=dict)

    def of(self, process_id: ProcessId, program: str) -> Written:
        """What was written of this process."""
        found = self._unpacked(self.programs.get(program, ""))
        found |= self._unpacked(self.processes.get(process_id.name, ""))
        return found

    def _unpacked(self, packed: str) -> dict[str, Origin]:
        found = {}
        for line in packed.splitlines():
            name, file, number, how = line.rsplit(" ", 3)
            found[name] = Origin(Place(self.files[int(file)], int(number)), _BY_NUMBER[int(how)])
        return found


class Origins:
    """What was written of all programs. Filled while a configuration is read."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._groups: dict[str, GroupOrigins] = {}

    def note_program(self, group: str, program: str, written: Written) -> None:
        """This was written of all processes of a program in this group, besides what is noted."""
        programs = self._group(group).programs
        programs[program] = "\n".join(filter(None, (programs.get(program), self._packed(written))))

    def note_process(self, process_id: ProcessId, written: Written) -> None:
        """This was written of one process, besides, and goes before what is so for all."""
        if written:
            self._group(process_id.group).processes[process_id.name] = self._packed(written)

    def of_group(self, group: str) -> GroupOrigins:
        """What was written of the processes of this group."""
        found = self._groups.get(group)
        if found is None:
            return GroupOrigins()
        return GroupOrigins(tuple(self._files), found.programs, found.processes)

    def _group(self, group: str) -> GroupOrigins:
        return self._groups.setdefault(group, GroupOrigins())

    def _packed(self, written: Written) -> str:
        return "\n".join(self._lines(written))

    def _lines(self, written: Written) -> Iterable[str]:
        for name, origin in written.items():
            if name.isprintable():  # names of variables may hold anything
                file = self._files.setdefault(origin.place.file, len(self._files))
                yield f"{name} {file} {origin.place.line} {_HOW[origin.how]}"
