"""Has msgspec without typing_extensions, where nobody has imported either.

msgspec takes three things from there that typing has as well, and asks typing where there is no
such module. That is 6 of the 20 ms that its import takes. A daemon has it anyway, for aiohttp.
"""

import sys


def import_msgspec() -> None:
    """Have msgspec find that there is no typing_extensions; whoever asks later finds it."""
    name = "typing_extensions"
    if name in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]  # None is for that, in the manual
    try:
        import msgspec  # noqa: F401, PLC0415
    except ImportError:
        pass  # whoever imports it next says why
    finally:
        del sys.modules[name]
