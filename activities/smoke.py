"""Smoke tests after the copy: what the request asks for, each with its own verdict and evidence."""

from activities.boundary import activity
from shared.blobs import clients
from shared.contracts import Check, Findings, RunWork
from shared.settings import TargetProfile, settings
from shared.smoke.database import check_rows
from shared.smoke.runtime import AdminApi, check_runtime
from shared.smoke.web import check_document, check_page


class SmokeTested(Findings):
    """Output of `smoke_tests`."""

    checks: list[Check]


@activity
def smoke_tests(work: RunWork) -> SmokeTested:
    """Do every smoke check of the request; a failed check is an answer, not an error."""
    smoke = work.run.request.smoke
    profile = settings().target_profile(work.run.request.target)
    container = clients.target(profile)
    return SmokeTested(
        checks=[
            *(check_rows(check, profile) for check in smoke.sql),
            *(check_page(check) for check in smoke.http),
            *(check_document(check, container) for check in smoke.documents),
            *(_runtime(work, profile) if smoke.runtime else []),
        ]
    )


def _runtime(work: RunWork, profile: TargetProfile) -> list[Check]:
    app = profile.app
    if app is None or app.admin_url is None or app.admin_password is None:
        how = "admin API of the Mendix runtime"
        detail = "the target profile has no APP__ADMIN_URL and APP__ADMIN_PASSWORD."
        return [Check(name="smoke: runtime", outcome="skipped", how=how, detail=detail)]
    return check_runtime(AdminApi(app.admin_url, app.admin_password), work.run.request.expected_model_version)
