"""What goes wrong on demand: errors for chosen calls, a rate limit, connections that break, URLs that expire."""

import re
import time
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Fault:
    """An error that `times` calls get whose method and path match, after the first `after`.

    `cut_after` bytes breaks a download; `retry_after` is the header as it is sent, seconds or a date.
    """

    path: str
    method: str = ".*"
    status: int = 500
    code: str = "SERVICE_UNAVAILABLE"
    times: int = 1
    after: int = 0
    retry_after: int | str | None = None
    cut_after: int | None = None

    def fits(self, request: web.Request) -> bool:
        """Tell whether it is this call's turn."""
        return (
            self.times > 0
            and re.search(self.path, request.path) is not None
            and re.fullmatch(self.method, request.method) is not None
        )


@dataclass
class Faults:
    """The faults that are set, the calls that came, the ranges that were served, and the rate limit (calls a second; 0 is none)."""

    rate: float = 0
    pending: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    _recent: deque[float] = field(default_factory=deque)

    def take(self, request: web.Request, cuts: bool) -> Fault | None:
        """Return the fault for this call, if one is set, and count it down."""
        for fault in self.pending:
            if (fault.cut_after is not None) == cuts and fault.fits(request):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def too_many(self) -> bool:
        """Count a call; tell whether it is beyond the rate limit."""
        if not self.rate:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.rate:
            return True
        self._recent.append(now)
        return False


def error(status: int, code: str, message: str, retry_after: int | str | None = None) -> web.Response:
    """Return an error as the API gives it."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return web.json_response({"errorCode": code, "errorMessage": message}, status=status, headers=headers)
