"""`supervisor.confecho.main` prints the sample configuration of echo_opsvisord_conf."""

from opsvisor.samples import main

__all__ = ["main"]
