"""A listener that never says READY: what it is to be told waits, until it is dropped."""

import signal

signal.pause()
