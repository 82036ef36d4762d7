"""Every orchestrator of the app. Those that run below another answer their refusals, so that no remedy is lost."""

from orchestrators.calling import answering
from orchestrators.cloud import poll_cloud
from orchestrators.copy import copy_group, copy_rows
from orchestrators.environment import close_environment, open_environment, scale_for_load
from orchestrators.files import copy_file_batches, copy_files, verify_files
from orchestrators.finish import finish_schema
from orchestrators.handover import prepare_source
from orchestrators.inspect import inspect_data
from orchestrators.migration import migrate
from orchestrators.postgrestarget import finish_postgres, load_postgres, plan_postgres, verify_postgres
from orchestrators.restore import restore_database
from orchestrators.sides import migrate_database, migrate_files
from orchestrators.snapshot import take_snapshot
from orchestrators.sourceapp import start_source
from orchestrators.verify import verify_group, verify_rows

ORCHESTRATORS = (
    migrate,
    *map(
        answering,
        (
            open_environment,
            scale_for_load,
            close_environment,
            take_snapshot,
            poll_cloud,
            start_source,
            restore_database,
            inspect_data,
            prepare_source,
            migrate_database,
            copy_rows,
            copy_group,
            finish_schema,
            verify_rows,
            verify_group,
            plan_postgres,
            load_postgres,
            finish_postgres,
            verify_postgres,
            migrate_files,
            copy_files,
            copy_file_batches,
            verify_files,
        ),
    ),
)
