"""What programs print: captured without loss, kept in memory and in files, never in their way."""

from opsvisor.runtime.logs.capture import StreamCapture, StreamStats
from opsvisor.runtime.logs.lines import AnsiStripper
from opsvisor.runtime.logs.ring import RingBuffer
from opsvisor.runtime.logs.stream import Stream

__all__ = ["AnsiStripper", "RingBuffer", "Stream", "StreamCapture", "StreamStats"]
