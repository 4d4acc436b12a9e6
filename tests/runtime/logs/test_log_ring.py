from hypothesis import given
from hypothesis import strategies as st

from opsvisor.runtime.logs.ring import PIECE_SIZE, RingBuffer

SIZES = st.sampled_from([0, 1, 2, 7, 100, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 9000])
CHUNKS = st.builds(
    lambda seed, size: (seed * (size // len(seed) + 1))[:size],
    st.binary(min_size=1, max_size=5),
    SIZES,
)


@given(
    capacity=st.sampled_from([0, 1, 10, 4096, 10_000]),
    chunks=st.lists(CHUNKS | st.none(), max_size=12),
    offset=st.integers(-5, 40_000),
)
def test_ring_is_the_tail_of_everything_appended(
    capacity: int, chunks: list[bytes | None], offset: int
) -> None:
    """Any chunks and clearings (None): offsets and bytes are those of a plain string's tail."""
    ring = RingBuffer(capacity)
    everything = b""
    cleared_at = 0
    for chunk in chunks:
        if chunk is None:
            ring.clear()
            cleared_at = len(everything)
        else:
            ring.append(chunk)
            everything += chunk
        start = max(cleared_at, len(everything) - capacity)
        assert (ring.start, ring.end) == (start, len(everything))
        assert ring.read(0) == (start, everything[start:])
        assert sum(len(piece) for piece in ring._pieces) <= 2 * capacity + PIECE_SIZE
    begin = min(max(offset, ring.start), ring.end)
    assert ring.read(offset) == (begin, everything[begin:])


def test_small_chunks_are_gathered() -> None:
    """A program that prints byte by byte costs bytes, not objects."""
    ring = RingBuffer(1 << 20)
    for _ in range(10_000):
        ring.append(b"x")
    assert len(ring._pieces) == 10_000 // PIECE_SIZE + 1
