"""Every activity of the app: the functions under the boundary in the modules below, by name."""

from types import ModuleType

from activities import (
    adoption,
    application,
    cleanup,
    copy,
    environment,
    files,
    finish,
    forecast,
    handover,
    heeding,
    inspect,
    postgresplan,
    postgrestarget,
    postgresverify,
    preflight,
    reconcile,
    report,
    restore,
    schema,
    sides,
    smoke,
    snapshot,
    source,
    stock,
    verify,
)
from activities.boundary import Boundary

MODULES: tuple[ModuleType, ...] = (
    preflight, environment, source, snapshot, restore, schema, inspect, forecast, copy, finish, handover, adoption, verify,
    postgresplan, postgrestarget, postgresverify, files, sides, reconcile, application, smoke, heeding, stock, report, cleanup,
)  # fmt: skip


def _of(module: ModuleType) -> list[Boundary]:
    return [one for one in vars(module).values() if hasattr(one, "typed") and one.__module__ == module.__name__]


ACTIVITIES: tuple[Boundary, ...] = tuple(activity for module in MODULES for activity in _of(module))
