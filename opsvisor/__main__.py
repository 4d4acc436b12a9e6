"""`python -m opsvisor ctl …` is opsvisorctl; `python -m opsvisor [daemon] …` is opsvisord."""

import sys


def main() -> int:
    """Run the program that the first word names, with the words after it."""
    match sys.argv[1:]:
        case ["ctl", *arguments]:
            from opsvisor.ctl.main import main as ctl  # noqa: PLC0415 - one program, one import

            return ctl(arguments)
        case ["daemon", *arguments] | arguments:
            from opsvisor.daemon import main as daemon  # noqa: PLC0415 - one program, one import

            return daemon(arguments)


if __name__ == "__main__":
    sys.exit(main())
