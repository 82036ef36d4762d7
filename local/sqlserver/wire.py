"""TDS packets over a socket, plain or inside TLS ([MS-TDS] 2.2.3)."""

import select
import socket
import ssl
import struct

from local.sqlserver.errors import ConnectionClosedError

BATCH, RPC, RESPONSE, ATTENTION, BULK, TRANSACTION, LOGIN, PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x07, 0x0E, 0x10, 0x12
END_OF_MESSAGE, IGNORE = 0x01, 0x02
DEFAULT_PACKET, LARGEST_PACKET = 4096, 32767

_RECEIVE = 256 * 1024


class Channel:
    """One client's socket: packets in, messages out."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.packet_size = DEFAULT_PACKET
        self.first_bulk_packet: tuple[int, int, bytes] = (0, 0, b"")
        self.attention_read = False
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._buffer = bytearray()
        self._pending = bytearray()
        self._number = 0

    # --- reading ---------------------------------------------------------------------------------------------------

    def packet(self) -> tuple[int, int, bytes]:
        """The next packet: type, status, payload.

        Raises:
            ConnectionClosedError: The client has gone.
        """
        head = self._take(8)
        kind, status, length = struct.unpack(">BBH", head[:4])
        return kind, status, self._take(length - 8)

    def message(self) -> tuple[int, bytes]:
        """The next message, all its packets together. A BULK message gives its first packet's type and no payload."""
        kind, status, payload = self.packet()
        if kind == BULK:
            self.first_bulk_packet = (kind, status, payload)
            return kind, b""
        parts = [payload]
        while not status & END_OF_MESSAGE:
            following, status, payload = self.packet()
            if following == ATTENTION:
                return ATTENTION, b""
            parts.append(payload)
        if status & IGNORE:
            return self.message()
        return kind, b"".join(parts)

    def client_spoke(self) -> bool:
        """Whether bytes of the client wait to be read (during a request that can only be an attention, or its end)."""
        if self._buffer or (self._tls is not None and self._tls.pending()):
            return True
        return bool(select.select([self.sock], [], [], 0)[0])

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        data = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return data

    def _receive(self) -> None:
        if self._tls is None:
            self._buffer += self._raw()
            return
        while True:
            try:
                data = self._tls.read(_RECEIVE)
            except ssl.SSLWantReadError:
                self._incoming.write(self._raw())
                continue
            except ssl.SSLError as error:
                raise ConnectionClosedError from error
            if not data:  # close_notify: read() answers b"" for ever after
                raise ConnectionClosedError
            self._buffer += data
            return

    def _raw(self) -> bytes:
        try:
            data = self.sock.recv(_RECEIVE)
        except OSError as error:
            raise ConnectionClosedError from error
        if not data:
            raise ConnectionClosedError
        return data

    # --- writing ---------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Adds to the response; whole packets leave as soon as there are some."""
        self._pending += data
        if len(self._pending) > 4 * self.packet_size:
            self._flush(last=False)

    def finish(self) -> None:
        """Sends what is left of the response, marked as its end."""
        self._flush(last=True)
        self._number = 0

    def forget(self) -> None:
        """Drops the part of the response that has not left yet."""
        self._pending.clear()

    def send(self, data: bytes, kind: int = RESPONSE) -> None:
        """Sends one whole message."""
        self._pending += data
        self._flush(last=True, kind=kind)
        self._number = 0

    def _flush(self, *, last: bool, kind: int = RESPONSE) -> None:
        room = self.packet_size - 8
        out = bytearray()
        while len(self._pending) > room or (last and (self._pending or not out)):
            piece = self._pending[:room]
            del self._pending[:room]
            status = END_OF_MESSAGE if last and not self._pending else 0
            self._number = (self._number + 1) & 0xFF
            out += struct.pack(">BBHHBB", kind, status, len(piece) + 8, 0, self._number, 0) + piece
            if last and not self._pending:
                break
        if out:
            self._send_raw(bytes(out), wrapped=kind == PRELOGIN)

    def _send_raw(self, data: bytes, *, wrapped: bool = False) -> None:
        if self._tls is not None and not wrapped:
            self._tls.write(data)
            data = self._outgoing.read()
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise ConnectionClosedError from error

    # --- TLS and the end -------------------------------------------------------------------------------------------

    def start_tls(self, context: ssl.SSLContext) -> None:
        """TLS handshake, its records wrapped in PRELOGIN packets; plain TLS records follow it ([MS-TDS] 3.3.5.3)."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                finished = True
            except ssl.SSLWantReadError:
                finished = False
            except ssl.SSLError as error:
                raise ConnectionClosedError from error
            data = self._outgoing.read()
            if data:
                self.send(data, PRELOGIN)
            if finished:
                self._tls = tls
                return
            self._incoming.write(self.packet()[2])

    def reset(self) -> None:
        """Cuts the client off with a TCP reset, as a failing network does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise ConnectionClosedError
