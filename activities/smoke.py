"""Smoke tests after the copy: what the request asks for, each with its own verdict and evidence."""

import time
from collections.abc import Callable
from functools import partial

from pydantic import Field

from activities.boundary import activity
from shared.blobs import clients
from shared.contracts import Check, Findings, RunWork
from shared.settings import TargetProfile, settings
from shared.smoke.database import check_rows
from shared.smoke.runtime import AdminApi, check_runtime
from shared.smoke.signin import SignIn
from shared.smoke.tries import Tries
from shared.smoke.web import check_document, check_page

BUDGET_SECONDS = 15 * 60
"""For all checks together; a check that has begun may still use its own time-out."""


class SmokeTested(Findings):
    """Output of `smoke_tests`."""

    checks: list[Check]
    sign_in_refused: bool = Field(
        default=False,
        description="Nobody can be signed in any more: the app refused user and password, or left two sign-ins unanswered.",
    )


@activity
def smoke_tests(work: RunWork) -> SmokeTested:
    """Do every smoke check of the request; a failed check is an answer, not an error.

    Checks for which no time is left have failed too, and say so.
    """
    smoke = work.run.request.smoke
    profile = settings().target_profile(work.run.request.target)
    container = clients.target(profile)
    # Before anybody is signed in: what goes wrong here is delivered again without another sign-in.
    runtime = _runtime(work, profile) if smoke.runtime else []
    until = time.monotonic() + BUDGET_SECONDS
    own = settings().allow_http_sources  # on a local stand every address is this machine
    sign_in = SignIn(profile.app, own=own, tries=Tries(work.run.id))
    named: list[tuple[str, Callable[[], Check]]] = [
        *((one.name, partial(check_rows, one, profile)) for one in smoke.sql),
        *((one.name, partial(check_page, one, sign_in=sign_in, own=own)) for one in smoke.http),
        *((one.name, partial(check_document, one, container, sign_in=sign_in, own=own)) for one in smoke.documents),
    ]
    try:
        checks = [check() if time.monotonic() < until else _too_late(name) for name, check in named]
    finally:
        sign_in.end()
    return SmokeTested(checks=[*checks, *runtime], sign_in_refused=sign_in.refused)


def _too_late(name: str) -> Check:
    return Check(
        name=f"smoke: {name}", outcome="failed", how="not done",
        detail=f"the checks before it took more than {BUDGET_SECONDS // 60} minutes together; give them less time each.",
    )  # fmt: skip


def _runtime(work: RunWork, profile: TargetProfile) -> list[Check]:
    app = profile.app
    if app is None or app.admin_url is None or app.admin_password is None:
        how = "admin API of the Mendix runtime"
        detail = "the target profile has no APP__ADMIN_URL and APP__ADMIN_PASSWORD."
        return [Check(name="smoke: runtime", outcome="skipped", how=how, detail=detail)]
    return check_runtime(AdminApi(app.admin_url, app.admin_password), work.run.request.expected_model_version)
