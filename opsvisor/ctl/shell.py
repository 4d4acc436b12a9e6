"""The prompt: one command line after another until `quit`, `exit` or the end of input."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from opsvisor.ctl.completion import ask_names, candidates
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.registry import COMMANDS, Follows
from opsvisor.ctl.session import Leave, Session

if TYPE_CHECKING:  # 70 ms that only the prompt on a terminal pays
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History


def converse(session: Session, prompt: str, history_file: str | None) -> int:
    """Show the status, then do what is asked. The exit status is always 0."""
    session.run(["status"])
    try:
        for line in _lines(session, f"{prompt}> ", history_file):
            _run(session, _split(line))
    except Leave:
        pass
    sys.stdout.write("\n")
    return Exit.OK


def _split(line: str) -> list[str]:
    """Words as supervisorctl has them; of commands that take quoted ones, as shells do."""
    words = line.split()
    known = COMMANDS.get(words[0]) if words else None
    if known is None or not known.verbatim:
        return words
    try:
        return shlex.split(line)
    except ValueError:  # a quote that has no end
        return words


def _run(session: Session, words: list[str]) -> None:
    if words:
        try:
            session.run(words)
        except KeyboardInterrupt:  # leaves the command, not the prompt
            sys.stdout.write("\n")


def _lines(session: Session, prompt: str, history_file: str | None) -> Iterator[str]:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _plain_lines(prompt)
    return _edited_lines(session, prompt, history_file)


def _plain_lines(prompt: str) -> Iterator[str]:
    """For pipes and dumb terminals: what supervisorctl prints there."""
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return


def _edited_lines(session: Session, prompt: str, history_file: str | None) -> Iterator[str]:
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - see TYPE_CHECKING above

    asking: PromptSession[str] = PromptSession(
        prompt,
        history=_history(history_file),
        completer=_completer(session),
        complete_while_typing=False,
        enable_history_search=True,
    )
    while True:
        try:
            yield asking.prompt()
        except KeyboardInterrupt:  # throws the line away, as in every shell
            continue
        except EOFError:
            return


def _history(history_file: str | None) -> "History":
    from prompt_toolkit.history import (  # noqa: PLC0415 - see TYPE_CHECKING above
        FileHistory,
        InMemoryHistory,
    )

    if history_file is None:
        return InMemoryHistory()
    found = os.path.expanduser(history_file)  # noqa: PTH111 - Path raises for an unknown ~user
    if found.startswith("~"):
        return InMemoryHistory()
    path = Path(found)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError:  # a prompt without a memory is better than none
        return InMemoryHistory()
    return FileHistory(str(path))


def _completer(session: Session) -> "Completer":
    from prompt_toolkit.completion import (  # noqa: PLC0415 - see TYPE_CHECKING above
        CompleteEvent,
        Completer,
        Completion,
    )
    from prompt_toolkit.document import Document  # noqa: PLC0415 - see TYPE_CHECKING above

    class CommandCompleter(Completer):
        """Completes commands, then what may follow them."""

        def get_completions(
            self,
            document: Document,
            complete_event: CompleteEvent,  # noqa: ARG002 - overrides
        ) -> Iterator[Completion]:
            """The words that begin with what stands before the cursor."""
            *words, begun = document.text_before_cursor.split(" ")
            processes, groups = (
                _asking(session, Follows.PROCESSES),
                _asking(session, Follows.GROUPS),
            )
            typed = [one for one in words if one]
            for word in candidates(typed, processes, groups, begun):
                if word.startswith(begun):
                    yield Completion(word, start_position=-len(begun))

    return CommandCompleter()


def _asking(session: Session, kind: Follows) -> Callable[[], list[str]]:
    return lambda: ask_names(session.client, kind)
