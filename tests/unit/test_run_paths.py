"""Where the blobs of a run lie, for every version alike."""

from pathlib import Path

from shared import runpaths

ROOT = Path(__file__).parents[2]
READ_LATER = {
    "RUN": "run.json", "ABORT": "abort.json", "SIDE_FAILED": "side-failed.json", "APP_START": "app-start.json",
    "CLOSED": "closed.json", "REMAINS": "remains.json", "CAPACITY": "means.json", "TOLD": "told.json", "STEPS": "steps/",
    "HANDED_OUT": "handed-out/", "SOURCE_STOPPED": "source-stopped.json", "SOURCE_STARTING": "source-starting.json",
    "CONTAINER_EMPTIED": "container-emptied-from.json", "FINDINGS": "findings.json", "REPORT": "report.json",
    "REPORT_PAGE": "report.html", "SCHEMA": "schema.sql", "REJECTS": "rejects.ndjson",
    "IGNORED": "ignored-names.ndjson", "FILE_DIFFERENCES": "file-differences.ndjson", "SOURCE_URL": "secret/source-url",
    "ARCHIVE": "snapshot.archive", "TAR": "snapshot.tar", "DUMP": "snapshot.dump",
    "INFLATE_CHECKPOINT": "inflate/checkpoint.json", "INDEX": "index.parquet", "RESTORE_PLAN": "restore/plan.json",
    "LOCATED": "restore/located.json", "SCANNED": "restore/scanned.json", "FILES_PLAN": "files/plan.json",
    "PLAN": "database-plan.json", "BASE_PLAN": "database-plan.base.json", "SETTLED_PLAN": "database-plan.settled.json",
    "TARGET_PLAN": "target/plan.json", "COPIED": "copy/tables.ndjson", "VERIFIED": "verify/tables.ndjson",
    "ALL_REJECTS": "rejects/", "RUNS": "runs/",
}  # fmt: skip


def test_a_run_that_a_version_before_has_begun_finds_its_blobs() -> None:
    constants = {name: value for name, value in vars(runpaths).items() if name.isupper()}
    assert constants == READ_LATER
    assert runpaths.of_run("a", runpaths.RUN) == "runs/a/run.json"
    assert {
        runpaths.ignored_part(1), runpaths.index_part(2), runpaths.renewed_archive(3), runpaths.failed_stop(3), runpaths.sign_in(1),
        runpaths.jobs("copy", "cd", 4), runpaths.jobs_plan("copy"),
        runpaths.chunk_rejects("a$b", 5), runpaths.results(6), runpaths.comparison(7, 8), runpaths.attempt("ab", 9),
        runpaths.words_on("a-b"), runpaths.word_on("a-b", 10),
    } == {
        "inflate/ignored-000001.ndjson", "inflate/index-000002.parquet", "source/archive-3.json", "source/stop-failed-3.json", "smoke/sign-in-1.json",
        "copy/jobs-cd-00004.ndjson", "copy/plan.json", "rejects/a$b/000005.ndjson", "verify/results-000006.ndjson",
        "verify/batch-000007-0008.json", "attempts/ab-9", "steps/a-b/", "steps/a-b/000010.json",
    }  # fmt: skip


def test_one_module_knows_where_the_blobs_of_a_run_lie() -> None:
    code = (path for top in ("shared", "activities", "orchestrators", "api") for path in (ROOT / top).rglob("*.py"))
    assert [path.name for path in code if 'f"runs/' in path.read_text()] == []
