"""MD5 whose state can be kept in a checkpoint, so that a sum over many activities is known at the end of the last.

Python's hashlib keeps the state to itself. OpenSSL's MD5_CTX is a plain structure without pointers
(https://github.com/openssl/openssl/blob/master/include/openssl/md5.h), so its bytes are the state. Hence ctypes, on the
libcrypto that hashlib itself uses. Where Python was built without a libcrypto that shows these functions, sums are
taken by hashlib and end at a checkpoint: the MD5 is then not known, and is reported so.
"""

import base64
import ctypes
import functools
import hashlib
from ctypes.util import find_library
from typing import Any

CONTEXT = 92  # bytes of MD5_CTX: six 32-bit words of state, the 64-byte block under way, and how much of it is filled
PIECE = 64 * 1024 * 1024  # bytes: larger members have an MD5 for each piece of this size too


class Md5:
    """An MD5 under way; `state` is absent where it cannot be told."""

    def __init__(self) -> None:
        self._library = library()
        self._plain = None if self._library else hashlib.md5(usedforsecurity=False)
        self._context = ctypes.create_string_buffer(CONTEXT)
        if self._library:
            self._library.MD5_Init(self._context)

    @classmethod
    def resume(cls, state: str | None) -> "Md5 | None":
        """Return the sum that goes on from `state`; None where that is not known, or cannot be taken up here."""
        found = cls()
        if state is None or not found._library:
            return None
        found._context.raw = base64.b64decode(state)
        return found

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        if self._library:
            whole = data if isinstance(data, bytes) else bytes(data)  # a c_char_p is made of bytes only
            self._library.MD5_Update(self._context, whole, len(whole))
        elif self._plain:
            self._plain.update(data)

    def digest(self) -> bytes:
        """Return the MD5 of what has passed; more may follow."""
        if self._plain:
            return self._plain.digest()
        result = ctypes.create_string_buffer(16)
        last = ctypes.create_string_buffer(self._context.raw, CONTEXT)
        self._library.MD5_Final(result, last)
        return result.raw

    @property
    def state(self) -> str | None:
        """Return what `resume` needs."""
        return base64.b64encode(self._context.raw).decode() if self._library else None


class MemberDigest:
    """The MD5 of an archive's member of `size` bytes, and of each of its pieces if it has more than one."""

    def __init__(self, size: int) -> None:
        self._many = size > PIECE
        self._whole: Md5 | None = Md5()
        self._piece = Md5() if self._many else None
        self._pieces = b""
        self._filled = 0  # bytes of the piece under way

    @classmethod
    def resume(cls, size: int, state: dict[str, Any]) -> "MemberDigest":
        """Return the sums that go on from a `state`."""
        found = cls(size)
        found._whole, found._piece = Md5.resume(state["whole"]), Md5.resume(state["piece"])
        found._pieces, found._filled = base64.b64decode(state["pieces"]), state["filled"]
        return found

    def update(self, data: memoryview) -> None:
        """Take the next bytes of the member."""
        if self._whole is not None:
            self._whole.update(data)
        while self._many and len(data):
            step = min(len(data), PIECE - self._filled)
            if self._piece is not None:
                self._piece.update(data[:step])
            self._filled += step
            if self._filled == PIECE:
                self._end_piece()
            data = data[step:]

    def end(self) -> tuple[bytes | None, bytes | None]:
        """Return the MD5 of the member, and those of its pieces one after the other; None where they are not known."""
        if self._filled:
            self._end_piece()
        known = self._whole is not None
        return self._whole.digest() if self._whole else None, self._pieces if known and self._many else None

    def state(self) -> dict[str, Any]:
        """Return what `resume` needs, as JSON."""
        return {
            "whole": self._whole.state if self._whole else None,
            "piece": self._piece.state if self._piece else None,
            "pieces": base64.b64encode(self._pieces).decode(),
            "filled": self._filled,
        }

    def _end_piece(self) -> None:
        self._pieces += self._piece.digest() if self._piece else bytes(16)
        self._piece, self._filled = Md5(), 0


@functools.cache
def library() -> Any:
    """Return the libcrypto that hashlib uses, else the system's; None where neither shows MD5's functions."""
    module = getattr(__import__("_hashlib"), "__file__", None)
    for name in (module, find_library("crypto")):
        try:
            found = ctypes.CDLL(name) if name else None
            if found is not None and found.MD5_Init(ctypes.create_string_buffer(CONTEXT)) == 1:
                found.MD5_Update.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
                return found
        except (OSError, AttributeError):
            continue
    return None
