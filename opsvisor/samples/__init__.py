"""echo_opsvisord_conf: prints a configuration to begin with, in Supervisor's format or our own.

Supervisor's is a text beside this module, ours is made from the options that opsvisord knows.
"""

import sys
from collections.abc import Sequence
from importlib import resources

USAGE = """\
echo_opsvisord_conf -- print a sample configuration of opsvisord.

Usage: {program} [--toml]

Without --toml it is a file in Supervisor's format, which supervisord reads as well.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run echo_opsvisord_conf; gives its exit status."""
    match list(sys.argv[1:] if argv is None else argv):
        case []:
            text = resources.files(__name__).joinpath("supervisord.conf").read_text("utf-8")
        case ["--toml"]:
            from opsvisor.samples.native import render_sample  # noqa: PLC0415 - this format only

            text = render_sample()
        case ["-h" | "--help"]:
            text = USAGE.format(program=sys.argv[0])
        case unknown:
            program = sys.argv[0]
            sys.stderr.write(f"Error: {unknown[0]} not recognized\nFor help, use {program} -h\n")
            return 2
    sys.stdout.write(text)
    return 0
