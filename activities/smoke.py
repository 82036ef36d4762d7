"""Smoke tests after the copy: what the request asks for, each with its own verdict and evidence."""

from activities.boundary import activity
from shared.blobs import clients
from shared.contracts import Check, Findings, RunWork
from shared.errors import MxferryError
from shared.request import SqlCheck
from shared.settings import TargetProfile, settings
from shared.smoke.runtime import AdminApi, check_runtime
from shared.smoke.web import check_document, check_page
from shared.sqlserver import connection


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
            *(_sql(check, profile) for check in smoke.sql),
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
