"""The discarding sink: the SQL Server stand-in, with the decoding of rows and the work of prepared INSERTs taken out.

So that a bench measures the client and not the stand-in: bulk rows are received and dropped unread, an `sp_execute` is
parsed (the protocol wants an answer for each) and answered without being run. Arguments are those of the stand-in.
"""

from typing import Any

from local.sqlserver import bulk, rpc, tokens
from local.sqlserver.__main__ import main


def _drain(session: Any, decode: Any, buffer: bytes, start: int, feed: Any) -> int:
    feed.drain()
    return 0


def _ignore(session: Any, request: Any) -> int:
    session.channel.write(tokens.done(tokens.MORE | tokens.COUNT, tokens.COMMAND["INSERT"], 1, tokens.DONE_IN_PROC))
    return 0


if __name__ == "__main__":
    bulk._discard = _drain
    rpc._HANDLERS["sp_execute"] = _ignore
    main()
