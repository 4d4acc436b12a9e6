"""Supervisor's kinds of events: each is of one wider kind, up to EVENT, which is everything."""

EVENT = "EVENT"

_PARTS = {
    "PROCESS_STATE": (
        "STOPPED",
        "STARTING",
        "RUNNING",
        "BACKOFF",
        "STOPPING",
        "EXITED",
        "FATAL",
        "UNKNOWN",
    ),
    "PROCESS_COMMUNICATION": ("STDOUT", "STDERR"),
    "PROCESS_LOG": ("STDOUT", "STDERR"),
    "PROCESS_GROUP": ("ADDED", "REMOVED"),
    "SUPERVISOR_STATE_CHANGE": ("RUNNING", "STOPPING"),
    "TICK": ("5", "60", "3600"),
    "REMOTE_COMMUNICATION": (),
}

# Every name that can be subscribed to, with the kinds that an event of this name is of.
KINDS: dict[str, tuple[str, ...]] = {
    EVENT: (EVENT,),
    **{wide: (wide, EVENT) for wide in _PARTS},
    **{
        f"{wide}_{part}": (f"{wide}_{part}", wide, EVENT)
        for wide, parts in _PARTS.items()
        for part in parts
    },
}

# Seconds between two ticks of a kind.
TICKS = {"TICK_5": 5, "TICK_60": 60, "TICK_3600": 3600}
