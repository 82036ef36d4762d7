"""The table of routes: it makes the HTTP triggers in `function_app.py`, and the OpenAPI page."""

from api import (
    decisions,
    documents,
    handover,
    health,
    migrations,
    openapi,
    profiles,
    rehearsals,
    runbook,
    setup,
    tables,
    ui,
)
from api.http import Problem, Query, Route
from shared.mendix.handover import SourceSettings
from shared.reporting.model import Report
from shared.request import Decision, MigrationRequest
from shared.ticks import Tick

_ROUTES = (
    Route("health", "GET", "health", health.health, "Is the app up?", auth="anonymous",
          responses={200: health.Health, 503: health.Health}),
    Route("ui", "GET", "ui", ui.ui, "The page to watch and steer migrations with.", auth="anonymous",
          responses={200: "text/html"}, etag=True),
    Route("ui_file", "GET", "ui/{file}", ui.file, "A file of the page.", auth="anonymous",
          responses={200: "text/html, text/css, text/javascript, image/svg+xml, application/json", 404: Problem}, etag=True),
    Route("list_profiles", "GET", "profiles", profiles.index, "The profiles that a request may name.",
          responses={200: profiles.Profiles}, etag=True),
    Route("setup", "POST", "setup", setup.setup, "Check the logins of all databases; make the app's users where it may.",
          request=setup.SetupRequest, responses={200: setup.SetupView}),
    Route("start_migration", "POST", "migrations", migrations.start, "Start a migration.", idempotent=True,
          request=MigrationRequest, responses={202: migrations.Started, 409: Problem}),
    Route("list_migrations", "GET", "migrations", migrations.index, "List migrations, newest first.",
          responses={200: migrations.MigrationPage, 400: Problem}, etag=True,
          query={"limit": Query("How many a page; 20 if absent.", {"type": "integer", "minimum": 1, "maximum": 100}),
                 "before": Query("A run id: only older ones.")}),
    Route("show_migration", "GET", "migrations/{id}", migrations.show, "Show status, progress, ETA and findings.",
          responses={200: migrations.MigrationView, 404: Problem}, etag=True),
    Route("migration_tables", "GET", "migrations/{id}/tables", tables.show, "Its tables, planned and on the target.",
          responses={200: tables.TablesView, 404: Problem}, etag=True),
    Route("approve_migration", "POST", "migrations/{id}/approve", decisions.approve, "Approve at a gate.",
          request=Decision, responses={202: decisions.Accepted, 404: Problem, 409: Problem}),
    Route("source_settings", "GET", "migrations/{id}/source-database", handover.show,
          "The settings by which the Mendix runtime copies its source, without the password.",
          responses={200: SourceSettings, 404: Problem, 409: Problem}, etag=True),
    Route("hand_out_source_settings", "POST", "migrations/{id}/source-database", handover.hand_out,
          "The same with a new password, shown this once.", request=handover.HandOut,
          responses={200: SourceSettings, 404: Problem, 409: Problem}),
    Route("abort_migration", "POST", "migrations/{id}/abort", decisions.abort, "Abort a migration.",
          request=Decision, responses={202: decisions.Accepted, 404: Problem, 409: Problem}),
    Route("start_rehearsal", "POST", "rehearsals", rehearsals.start, "Start a rehearsal on to a throw-away target.",
          idempotent=True, request=MigrationRequest, responses={202: migrations.Started, 409: Problem}),
    Route("list_rehearsals", "GET", "rehearsals", rehearsals.index, "Compare rehearsals; are we ready?",
          responses={200: rehearsals.Rehearsals}, etag=True),
    Route("migration_report", "GET", "migrations/{id}/report", documents.report, "The report, HTML or JSON by Accept.",
          responses={200: (Report, "text/html"), 404: Problem}, etag=True),
    Route("migration_schema", "GET", "migrations/{id}/schema", documents.schema,
          "The script of the target's schema, as soon as it is planned.",
          responses={200: "text/plain", 404: Problem}, etag=True),
    Route("migration_request", "GET", "migrations/{id}/request", documents.request,
          "What it was started with, to start another one; what is default is left out.",
          responses={200: MigrationRequest, 404: Problem}, etag=True),
    Route("migration_runbook", "GET", "migrations/{id}/runbook", runbook.show,
          "The runbook as it stands now, HTML or Markdown by Accept.",
          responses={200: "text/markdown, text/html", 404: Problem}, etag=True),
    Route("runbook_step_done", "POST", "migrations/{id}/runbook/{step}", runbook.done,
          "Say that a step of people is done, or take it back; the last word counts.", request=runbook.StepDone,
          responses={200: Tick, 404: Problem, 409: Problem}),
)  # fmt: skip

ROUTES = (*_ROUTES, openapi.route(_ROUTES))
