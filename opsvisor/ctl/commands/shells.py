"""The scripts with which shells complete the words of both programs."""

from importlib import resources

from opsvisor.ctl.completion import SHELLS
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session


def completion(session: Session, words: list[str]) -> int:
    """Print the script for one shell, to be evaluated there."""
    if len(words) != 1 or words[0] not in SHELLS:
        raise BadArguments(f"completion requires a shell: {', '.join(SHELLS)}")
    scripts = resources.files("opsvisor.ctl").joinpath("completions")
    text = "\n".join(
        scripts.joinpath(f"{program}.{words[0]}").read_text("utf-8")
        for program in ("opsvisorctl", "opsvisord")
    )
    session.output.write(text)
    session.output.show({words[0]: text})
    return Exit.OK
