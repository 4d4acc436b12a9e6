"""Make tokens, and what a configuration may hold in the place of one. Asks no daemon."""

import getpass
import secrets
import sys

import msgspec

from opsvisor.config.tokens import check_token, digest_of, show_token_hash
from opsvisor.config.units import Refused
from opsvisor.ctl import failures
from opsvisor.ctl.exit_codes import Exit
from opsvisor.ctl.session import BadArguments, Session

_BYTES = 32  # of chance, as those of a session
# Of a token that others have made. What is shorter can be found by trying all that there are.
_SHORTEST = 20
_LONGEST_LINE = 8192


class TokenHash(msgspec.Struct):
    """What stands for a token. `token` is "" where it was known before."""

    token: str
    token_hash: str


def hash_token(session: Session, words: list[str]) -> int:
    """Print a new token and its hash, or the hash of the one on standard input."""
    if words not in ([], ["-"]):
        raise BadArguments("hash-token takes nothing, or - for a token on standard input")
    output = session.output
    try:
        known = _given() if words else ""
    except Refused as why:
        what = f"the token on standard input {why.says}"
        output.remark(f"Error: {what}")
        output.hint(why.hint)
        output.show({"error": failures.problem("bad_token", "Bad token", what, why.hint)})
        return Exit.FAILED
    token = known or secrets.token_hex(_BYTES)
    hashed = show_token_hash(digest_of(token))
    if not known:
        output.remark("The token, for whoever comes in by it; it is kept nowhere:")
        output.say(token)
        output.remark("What stands for it in [identity.NAME]:")
    output.say(f'token_hash = "{hashed}"')
    output.show(TokenHash(token="" if known else token, token_hash=hashed))
    return Exit.OK


def _given() -> str:
    text = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline(_LONGEST_LINE)
    token = text.strip()
    if not token:
        raise Refused("is empty", "without -, a new one is made")
    if len(check_token(token)) < _SHORTEST:
        says = f"has fewer than {_SHORTEST} characters, so it can be found by its hash"
        raise Refused(says, "hash-token without - makes a long one; or use a password instead")
    return token
