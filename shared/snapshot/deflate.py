"""zlib's inflate with its position exposed, so that another process can go on where this one stopped.

Python's own bindings (zlib, isal) keep the state of a decompressor to themselves. zlib can stop at the border of two
deflate blocks and tell at which bit; with that bit and the last 32 KiB of output, inflating goes on from there
(https://github.com/madler/zlib/blob/master/examples/zran.c). Hence ctypes, on the libz that Python itself uses.
Measured: some 400 MB/s of output, against 700 of isal; a successor that starts at the archive's beginning again would
lose that advantage within a few gigabytes, and could not finish large archives within a function's time limit.
"""

import ctypes
import functools
import zlib
from typing import NamedTuple

WINDOW = 32 * 1024
Z_NO_FLUSH, Z_BLOCK = 0, 5
Z_OK, Z_STREAM_END, Z_BUF_ERROR = 0, 1, -5
GZIP, RAW = 31, -15  # window bits: gzip header and trailer handled by zlib, or bare deflate data
AT_BORDER, LAST_BLOCK = 128, 64  # of data_type


class DeflateError(ValueError):
    """The data is not what deflate writes."""


class Border(NamedTuple):
    """A border of two deflate blocks: `consumed` bytes of input begun, `bits` of the last of them still to come."""

    consumed: int
    bits: int
    window: bytes


class _Stream(ctypes.Structure):
    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


class Inflater:
    """One deflate stream; feed it with `push`, take its output with `pull`."""

    def __init__(self, window_bits: int = GZIP) -> None:
        self._zlib = _library()
        self._stream = _Stream()
        self._input = b""
        self.finished = False
        self._check(self._zlib.inflateInit2_(self._ref, window_bits, b"1.2.11", ctypes.sizeof(_Stream)))

    @classmethod
    def resume(cls, first: bytes, bits: int, window: bytes) -> "Inflater":
        """Return one that goes on at a border; `first` is the byte that holds the `bits`."""
        inflater = cls(RAW)
        if bits:
            value = first[0] >> (8 - bits)
            inflater._check(inflater._zlib.inflatePrime(inflater._ref, bits, value))
        if window:
            inflater._check(inflater._zlib.inflateSetDictionary(inflater._ref, window, len(window)))
        return inflater

    @property
    def hungry(self) -> bool:
        """Return whether all input has been taken."""
        return not self._stream.avail_in

    def push(self, data: bytes) -> None:
        """Give the next bytes of input; only when the last ones have been taken."""
        self._input = data
        address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p)
        self._stream.next_in, self._stream.avail_in = address, len(data)

    def pull(self, room: memoryview, *, to_border: bool = False) -> int:
        """Inflate into `room` (writable); return the bytes written. Stops early at a border if asked.

        Raises `DeflateError`.
        """
        address = ctypes.addressof(ctypes.c_char.from_buffer(room))
        self._stream.next_out, self._stream.avail_out = address, len(room)
        code = self._zlib.inflate(self._ref, Z_BLOCK if to_border else Z_NO_FLUSH)
        if code == Z_STREAM_END:
            self.finished = True
        elif code not in (Z_OK, Z_BUF_ERROR):
            raise DeflateError((self._stream.msg or b"invalid data").decode())
        return len(room) - int(self._stream.avail_out)

    @property
    def left(self) -> bytes:
        """Return the input that has not been taken: what follows the end of the stream."""
        return self._input[len(self._input) - int(self._stream.avail_in) :]

    @property
    def checksum(self) -> int:
        """Return the CRC-32 of the output so far; of a gzip stream from its start only."""
        return int(self._stream.adler)

    @property
    def border(self) -> Border | None:
        """Return where the stream can be taken up again, if the last `pull` stopped at such a place."""
        kind = int(self._stream.data_type)
        if self.finished or not kind & AT_BORDER or kind & LAST_BLOCK:
            return None
        window, size = ctypes.create_string_buffer(WINDOW), ctypes.c_uint(0)
        self._check(self._zlib.inflateGetDictionary(self._ref, window, ctypes.byref(size)))
        return Border(int(self._stream.total_in), kind & 7, window.raw[: size.value])

    @property
    def _ref(self) -> object:
        return ctypes.byref(self._stream)

    def _check(self, code: int) -> None:
        if code != Z_OK:
            raise DeflateError((self._stream.msg or f"zlib error {code}".encode()).decode())

    def __del__(self) -> None:
        if self._stream.state:
            self._zlib.inflateEnd(self._ref)


@functools.cache
def _library() -> ctypes.CDLL:
    """Return libz: the system's, else the one that Python's zlib module brings along."""
    try:
        return ctypes.CDLL("libz.so.1")
    except OSError:
        return ctypes.CDLL(getattr(zlib, "__file__", None))
