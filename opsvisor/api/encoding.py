"""JSON of whatever there is to tell, also of what is no text."""

import msgspec


def encode(body: object) -> bytes:
    r"""This as JSON.

    Names, paths and arguments may hold bytes that are no text (PEP 383), which JSON can't have.
    They are written as `\udcff`, as in the metrics: one such name must not hide all the others.
    """
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # so seldom that nothing is looked at before
        return msgspec.json.encode(_as_text(msgspec.to_builtins(body)))


def _as_text(value: object) -> object:
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_as_text(key): _as_text(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_text(item) for item in value]
        case _:
            return value
