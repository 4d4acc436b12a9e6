"""Bytes that programs print, where Supervisor has to show them as text."""


def as_text(printed: bytes) -> str:
    """As Supervisor does it, all or nothing: what isn't UTF-8 is shown as the bytes it is."""
    try:
        return printed.decode()
    except UnicodeDecodeError:
        return f"Undecodable: {printed!r}"
