"""Where the blobs of a run lie: `runs/<run>/<name>`, in the staging container or in that of the reports.

A later version finds the blobs of an older version's run by these names, so none is changed.
"""

RUNS = "runs/"
"""Beginning of the names of all runs' blobs."""

# In the reports container, which is kept: what is known of the run, also after its clean-up.
RUN = "run.json"
ABORT = "abort.json"
SIDE_FAILED = "side-failed.json"
APP_START = "app-start.json"
CLOSED = "closed.json"
REMAINS = "remains.json"
CAPACITY = "means.json"
TOLD = "told.json"
STEPS = "steps/"
HANDED_OUT = "handed-out/"
SOURCE_STOPPED = "source-stopped.json"
SOURCE_STARTING = "source-starting.json"
"""Here, because the clean-up may come before the start."""
CONTAINER_EMPTIED = "container-emptied-from.json"

# There too: what people read.
FINDINGS = "findings.json"
REPORT = "report.json"
REPORT_PAGE = "report.html"
SCHEMA = "schema.sql"
REJECTS = "rejects.ndjson"
"""The rows which the target refused, one JSON a line."""
IGNORED = "ignored-names.ndjson"
FILE_DIFFERENCES = "file-differences.ndjson"

# In the staging container, deleted at clean-up: the snapshot, and how far its stages are.
SOURCE_URL = "secret/source-url"
ARCHIVE = "snapshot.archive"
TAR = "snapshot.tar"
DUMP = "snapshot.dump"
INFLATE_CHECKPOINT = "inflate/checkpoint.json"
INDEX = "index.parquet"
RESTORE_PLAN = "restore/plan.json"
LOCATED = "restore/located.json"
SCANNED = "restore/scanned.json"
FILES_PLAN = "files/plan.json"

# There too: plans, and what the stages that move rows found.
PLAN = "database-plan.json"
BASE_PLAN = "database-plan.base.json"
"""The plan as it was made, before the remedies of the data preflight went into it."""
SETTLED_PLAN = "database-plan.settled.json"
"""The plan as it was before it was fitted to what the Mendix runtime has made."""
TARGET_PLAN = "target/plan.json"
COPIED = "copy/tables.ndjson"
VERIFIED = "verify/tables.ndjson"
ALL_REJECTS = "rejects/"


def of_run(run: str, name: str = "") -> str:
    """Return the full name of a run's blob, or with what all of its blobs begin."""
    return f"{RUNS}{run}/{name}"


def ignored_part(number: int) -> str:
    """Return the name of a part of the list of ignored names, written at a checkpoint."""
    return f"inflate/ignored-{number:06d}.ndjson"


def index_part(number: int) -> str:
    """Return the name of a part of the index, written at a checkpoint."""
    return f"inflate/index-{number:06d}.parquet"


def renewed_archive(renewal: int) -> str:
    """Return the name of the note about an archive that Mendix Cloud was asked for."""
    return f"source/archive-{renewal}.json"


def failed_stop(attempt: int) -> str:
    """Return the name of the note about an attempt to stop the source app that Mendix Cloud says has failed."""
    return f"source/stop-failed-{attempt}.json"


def sign_in(number: int) -> str:
    """Return the name of the note about a sign-in of the smoke checks that the app may count as a wrong password."""
    return f"smoke/sign-in-{number}.json"


def jobs_plan(stage: str) -> str:
    """Return the name of the first plan of a stage (`copy`, `verify`), with which later deliveries answer too."""
    return f"{stage}/plan.json"


def jobs(stage: str, mark: str, group: int) -> str:
    """Return the name of a group of jobs of a stage; `mark` is a digest of all of them."""
    return f"{stage}/jobs-{mark}-{group:05d}.ndjson"


def rejects_of(table: str) -> str:
    """Return with what the names of a table's reject files begin."""
    return f"{ALL_REJECTS}{table}/"


def chunk_rejects(table: str, chunk: int) -> str:
    """Return the name of a chunk's reject file."""
    return f"{rejects_of(table)}{chunk:06d}.ndjson"


def results(number: int) -> str:
    """Return the name of what a job or a batch of verification found."""
    return f"verify/results-{number:06d}.ndjson"


def comparison(batch: int, step: int) -> str:
    """Return the name of how far the comparison of a batch was after a step."""
    return f"verify/batch-{batch:06d}-{step:04d}.json"


def attempt(called: str, number: int) -> str:
    """Return the name of the mark that an activity's call, by its hash, has ended in an error that often."""
    return f"attempts/{called}-{number}"


def words_on(step: str) -> str:
    """Return with what the names of all that was said of a step of the runbook begin, by the step's key."""
    return f"{STEPS}{step}/"


def word_on(step: str, number: int) -> str:
    """Return the name of what was said of a step of the runbook, one time after another."""
    return f"{words_on(step)}{number:06d}.json"
