"""Smoke tests after the copy: what the request asks for, each with its own verdict and evidence."""

import time

import httpx

from activities.boundary import activity
from shared.contracts import Check, Findings, HttpCheck, RunWork, SqlCheck
from shared.errors import MxferryError
from shared.settings import TargetProfile, settings
from shared.sqlserver import connection


class SmokeTested(Findings):
    """Output of `smoke_tests`."""

    checks: list[Check]


@activity
def smoke_tests(work: RunWork) -> SmokeTested:
    """Do every smoke check of the request; a failed check is an answer, not an error."""
    smoke = work.run.request.smoke
    profile = settings().target_profile(work.run.request.target)
    checks = [_sql(check, profile) for check in smoke.sql] + [_http(check) for check in smoke.http]
    return SmokeTested(checks=checks)


def _http(check: HttpCheck) -> Check:
    name = f"smoke: {check.name}"
    how = f"GET, expecting status {check.status}" + (f" and the text {check.text!r}" if check.text else "")
    started = time.monotonic()
    try:
        with httpx.stream("GET", check.url, timeout=check.timeout_seconds, follow_redirects=False) as answer:
            body = b""
            for block in answer.iter_bytes(65536):
                body += block
                if len(body) > 1024 * 1024:
                    break
            status = answer.status_code
    except httpx.HTTPError as error:
        return Check(name=name, outcome="failed", how=how, detail=f"expected an answer, found {type(error).__name__}.")
    took = f"in {time.monotonic() - started:.2f} s"
    if status != check.status:
        return Check(name=name, outcome="failed", how=how, detail=f"expected {check.status}, found {status} {took}.")
    if check.text and check.text not in body.decode("utf-8", "replace"):
        return Check(
            name=name, outcome="failed", how=how, detail=f"the text is not in the first MiB of the answer ({took})."
        )
    return Check(name=name, outcome="passed", how=how, detail=f"status {status} {took}.")


def _sql(check: SqlCheck, profile: TargetProfile) -> Check:
    name = f"smoke: {check.name}"
    most = f" and at most {check.at_most}" if check.at_most is not None else ""
    how = f"rows of {check.table} on the target counted, expecting at least {check.at_least}{most}"
    if profile.sql is None:
        return Check(name=name, outcome="skipped", how=how, detail="the target is not a SQL Server.")
    try:
        with connection.session(profile.sql) as target:
            rows = int(target.execute(f"SELECT COUNT_BIG(*) FROM {connection.table_name(check.table)}").fetchval())  # noqa: S608
    except MxferryError as error:
        return Check(name=name, outcome="failed", how=how, detail=str(error))
    within = rows >= check.at_least and (check.at_most is None or rows <= check.at_most)
    return Check(name=name, outcome="passed" if within else "failed", how=how, detail=f"found {rows} rows.")
