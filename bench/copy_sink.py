"""The discarding sink: the SQL Server stand-in, with the decoding of rows and the work of prepared INSERTs taken out.

So that a bench measures the client and not the stand-in: bulk rows are received and dropped unread, an `sp_execute` is
parsed (the protocol wants an answer for each) and answered without being run. It also takes the batches in which
FreeTDS' freebcp sets its options and asks for the columns. Arguments are those of the stand-in.
"""

import re
import struct
from typing import Any

from local.sqlserver import bulk, rpc, tokens
from local.sqlserver.__main__ import main
from local.sqlserver.client import Client

_OPTIONS = re.compile(r"^\s*set textsize \d+\s*;?\s*", re.IGNORECASE)
_COLUMNS = re.compile(r"^\s*SET FMTONLY ON\s+(select .+?)\s+SET FMTONLY OFF\s*$", re.IGNORECASE | re.DOTALL)


def _drain(session: Any, target: Any, feed: Any, fault: Any) -> int:
    """Receive a load; the count in the answer is of bytes, as no row is looked at."""
    while not feed.ended:
        feed.more(b"", 0)
    return int(feed.received)


def _ignore(session: Any, request: Any) -> int:
    session.channel.write(tokens.done(tokens.MORE | tokens.COUNT, tokens.COMMAND["INSERT"], 1, tokens.DONE_IN_PROC))
    return 0


def _understood(text: str) -> str:
    """Return a batch of freebcp in words of the stand-in; other batches as they are."""
    text = (_OPTIONS.sub("", text) or "SET NOCOUNT OFF").replace("bench.dbo.", "dbo.").replace("bench..", "dbo.")
    return _COLUMNS.sub(r"SET FMTONLY ON; \1; SET FMTONLY OFF", text)


_batch = Client._batch


def _batch_understood(self: Client, session: Any, payload: bytes) -> None:
    (skip,) = struct.unpack_from("<I", payload, 0)
    text = _understood(payload[skip:].decode("utf-16-le"))
    _batch(self, session, payload[:skip] + text.encode("utf-16-le"))


if __name__ == "__main__":
    bulk._load = _drain
    rpc._HANDLERS["sp_execute"] = _ignore
    Client._batch = _batch_understood  # type: ignore[method-assign]
    main()
