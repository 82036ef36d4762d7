"""From the first packet to the logged-in session: PRELOGIN, TLS, LOGIN7, federated authentication."""

import hashlib
import hmac
import ssl
import struct
from dataclasses import dataclass

from local.sqlserver import tokens, wire
from local.sqlserver.errors import SqlError
from local.sqlserver.sqltypes import DEFAULT_COLLATION, collation_bytes

_ENCRYPT_ON, _ENCRYPT_NOT_SUPPORTED = 1, 2
_OPTION_ENCRYPTION, _OPTION_FEDAUTH, _END = 0x01, 0x06, 0xFF
_FEATURE_FEDAUTH, _FEATURE_UTF8 = 0x02, 0x0A
_LIBRARY_SECURITY_TOKEN = 0x01


@dataclass(frozen=True, slots=True)
class Login:
    """What LOGIN7 told."""

    user: str
    password: str
    database: str
    host: str
    program: str
    packet_size: int
    token: str | None
    wants_utf8: bool


def prelogin(channel: wire.Channel, context: ssl.SSLContext | None) -> None:
    """Answers PRELOGIN and starts TLS when the server offers it and the client can.

    A server without TLS answers NOT_SUP, so that `Encrypt=yes` fails in the driver and `Encrypt=no` goes on in the
    clear; a server with TLS answers ON, and everything after the handshake is encrypted.
    """
    kind, payload = channel.message()
    if kind != wire.PRELOGIN:
        raise SqlError(17836, "The stand-in expected PRELOGIN as the first packet.", 20)
    options = _prelogin_options(payload)
    answer = [
        (0x00, bytes([16, 0, 0x10, 0, 0, 0])),
        (_OPTION_ENCRYPTION, bytes([_ENCRYPT_ON if context else _ENCRYPT_NOT_SUPPORTED])),
        (0x02, b"\0"),
        (0x03, b""),
        (0x04, b"\0"),
    ]
    if _OPTION_FEDAUTH in options:
        answer.append((_OPTION_FEDAUTH, b"\1"))
    channel.send(_prelogin_bytes(answer))
    if context:
        channel.start_tls(context)


def _prelogin_options(payload: bytes) -> dict[int, bytes]:
    options = {}
    position = 0
    while payload[position] != _END:
        offset, length = struct.unpack(">HH", payload[position + 1 : position + 5])
        options[payload[position]] = payload[offset : offset + length]
        position += 5
    return options


def _prelogin_bytes(options: list[tuple[int, bytes]]) -> bytes:
    head, data = b"", b""
    start = 5 * len(options) + 1
    for option, value in options:
        head += struct.pack(">BHH", option, start + len(data), len(value))
        data += value
    return head + b"\xff" + data


def read_login(channel: wire.Channel) -> Login:
    """Reads LOGIN7, and the token that follows when the client authenticates with one it was told to fetch.

    Raises:
        SqlError: The packet is not a login.
    """
    kind, payload = channel.message()
    if kind != wire.LOGIN:
        raise SqlError(17836, "The stand-in expected LOGIN7 after PRELOGIN.", 20)
    features = _features(payload)
    return Login(
        user=_text(payload, 40),
        password=_password(payload),
        database=_text(payload, 68) or "master",
        host=_text(payload, 36),
        program=_text(payload, 48),
        packet_size=min(struct.unpack_from("<I", payload, 8)[0] or wire.DEFAULT_PACKET, wire.LARGEST_PACKET),
        token=_security_token(features.get(_FEATURE_FEDAUTH)),
        wants_utf8=_FEATURE_UTF8 in features,
    )


def _field(payload: bytes, at: int) -> bytes:
    offset, length = struct.unpack_from("<HH", payload, at)
    return payload[offset : offset + 2 * length]


def _text(payload: bytes, at: int) -> str:
    return _field(payload, at).decode("utf-16-le", "replace")


def _password(payload: bytes) -> str:
    """LOGIN7 hides the password by XOR with 0xA5 after swapping the nibbles of every byte."""
    hidden = _field(payload, 44)
    plain = bytes((byte ^ 0xA5) >> 4 | ((byte ^ 0xA5) << 4) & 0xF0 for byte in hidden)
    return plain.decode("utf-16-le", "replace")


def _features(payload: bytes) -> dict[int, bytes]:
    if not payload[27] & 0x10:
        return {}
    (pointer,) = struct.unpack_from("<H", payload, 56)
    (position,) = struct.unpack_from("<I", payload, pointer)
    features = {}
    while payload[position] != _END:
        (length,) = struct.unpack_from("<I", payload, position + 1)
        features[payload[position]] = payload[position + 5 : position + 5 + length]
        position += 5 + length
    return features


def _security_token(feature: bytes | None) -> str | None:
    """The access token of the security-token workflow: options byte, length, UTF-16 token ([MS-TDS] 2.2.6.4)."""
    if not feature or feature[0] >> 1 != _LIBRARY_SECURITY_TOKEN:
        return None
    (length,) = struct.unpack_from("<I", feature, 1)
    return feature[5 : 5 + length].decode("utf-16-le", "replace")


def token_digest(token: str) -> str:
    """SHA-256 of an access token: what the stand-in remembers and tells, never the token."""
    return hashlib.sha256(token.encode()).hexdigest()


def check(login: Login, user: str, password: str, *, accepts_tokens: bool) -> None:
    """Checks the login against the one the server was started with.

    Raises:
        SqlError: 18456, as SQL Server says it, without saying why.
    """
    if login.token is not None:
        if accepts_tokens and login.token:
            return
        raise SqlError(18456, "Login failed for user '<token-identified principal>'.", 14)
    same_user = login.user.lower() == user.lower()
    if not (same_user and hmac.compare_digest(login.password.encode(), password.encode())):
        raise SqlError(18456, f"Login failed for user '{login.user}'.", 14)


def acknowledge(login: Login, database: str) -> bytes:
    """The response to a successful login."""
    name = "Microsoft SQL Server".encode("utf-16-le")
    body = b"\x01\x74\x00\x00\x04" + bytes([len(name) // 2]) + name + bytes([16, 0, 0x10, 0])
    collation = collation_bytes(DEFAULT_COLLATION)
    size = tokens.short_text(str(login.packet_size))
    out = tokens.env_change(1, tokens.short_text(database), tokens.short_text("master"))
    out += tokens.information(5701, f"Changed database context to '{database}'.")
    out += tokens.env_change(7, bytes([5]) + collation, b"\0")
    out += b"\xad" + struct.pack("<H", len(body)) + body
    out += tokens.env_change(4, size, tokens.short_text(str(wire.DEFAULT_PACKET)))
    if login.token is not None or login.wants_utf8:
        out += b"\xae"
        if login.token is not None:
            out += struct.pack("<BI", _FEATURE_FEDAUTH, 0)
        if login.wants_utf8:
            out += struct.pack("<BIB", _FEATURE_UTF8, 1, 1)
        out += bytes([_END])
    return out + tokens.done()
