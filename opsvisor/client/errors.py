"""Why a call did not give what it promised: no daemon, a refusal, or a problem it names."""

from enum import Enum

from opsvisor.config.problems import OpsvisorError
from opsvisor.wire import Problem


class Unreached(Enum):
    """How an attempt to reach the daemon ended. The value follows the URL in messages."""

    MISSING = "no such file"
    REFUSED = "refused connection"
    TOO_LONG = "is too long for a socket"
    UNKNOWN_HOST = "names no host"
    DENIED = "permission denied"
    ORPHANED = "has no opsvisord behind it"  # a crashed one's: its address is kept for the next
    UNTRUSTED = "is not trusted"  # its certificate
    REFUSES_US = "does not take our certificate"  # or that there is none
    NO_TLS = "does not speak TLS"
    LOST = "gave no answer"  # connected, then silence, nonsense or a closed connection


class NoDaemon(OpsvisorError):  # noqa: N818 - the name says what happened
    """Nobody answers at `url`. `detail` is what the operating system said, "" if that is all."""

    def __init__(self, url: str, reason: Unreached, detail: str = "") -> None:
        self.url = url
        self.reason = reason
        self.detail = detail
        super().__init__(f"{url} {reason.value}{f' ({detail})' if detail else ''}")


class BadUrl(OpsvisorError):  # noqa: N818 - the name says what happened
    """Not an address that a client can connect to."""


class BadTls(OpsvisorError):  # noqa: N818 - the name says what happened
    """A file of certificates, or a key, that can't be used to connect."""


class ApiError(OpsvisorError):
    """The daemon answered that it can't or won't; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail or problem.title)


class Unauthorized(ApiError):  # noqa: N818 - the name says what happened
    """The daemon wants a user name and a password, or others than it was given."""
