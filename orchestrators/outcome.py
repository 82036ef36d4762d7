"""What a run has found and done so far, and the verdict that follows from it. Pure state of the `migrate` orchestrator."""

from datetime import datetime
from typing import Literal

from orchestrators.calling import Payload
from orchestrators.modes import Handed
from orchestrators.stages import StageFailed, StageRecord
from shared.contracts import BESIDE_ROWS, Check, Run, Summary, Verdict
from shared.errors import Finding, open_errors


class Outcome:
    """Answers by stage, findings in order, checks, and the verdict."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.snapshot: Payload = {}
        self.restore: Payload = {}
        self.answers: dict[str, Payload] = {}
        self.findings: list[Finding] = []
        self.checks: list[Check] = []
        self.rows_compared = False
        """Whether a check of the rows has passed: files and smoke tests alone verify no database."""
        self.verdict: Verdict | None = None
        self.opened = False
        """Whether the environment was awake in this run: before, there is no temporary database."""
        self.target_written = False
        self.app_stopped_by: Literal["this run", "people", "perhaps people"] | None = None
        """Who stopped the target app for this run; None where nobody did, or where it was stopped already."""
        self.told_end: datetime | None = None
        """The end after the window's that people were told of, or have accepted."""
        self.reason = ""

    @property
    def handed(self) -> dict[Handed, Payload | None]:
        """What the stages of the database hand on to each other; `restore` is None where a mode restores nothing before."""
        return {"snapshot": self.snapshot, "restore": self.restore or None}

    def answered(self, stage: str, answer: Payload) -> None:
        """Keep a stage's answer, its findings and its checks."""
        self.findings.extend(Finding.model_validate(one) for one in answer.get("findings", []))
        checks = [Check.model_validate(one) for one in answer.get("checks", [])]
        self.checks.extend(checks)
        self.rows_compared |= stage == "verify" and any(
            one.outcome == "passed" and one.name not in BESIDE_ROWS for one in checks
        )
        self.answers[stage] = {name: value for name, value in answer.items() if name not in ("findings", "checks")}

    def side_ended(self, side: str, answer: Payload) -> list[StageFailed]:
        """Keep what one side (database or files) answered; return its failure, if it failed."""
        for name, value in answer.items():
            if name not in ("stages", "gates", "failed"):
                self.answered(name, value)
        failed = answer.get("failed")
        if not failed:
            return []
        return [StageFailed(failed["stage"], Finding.model_validate(failed["finding"]))]

    def planned(self) -> None:
        """A dry run ends here."""
        self.verdict = "planned"
        self.reason = "Dry run: the target was not written. The report says what would be done."

    def failed(self, failure: StageFailed) -> None:
        """A stage failed: before the target was written the run is refused, after it it is failed."""
        finding = failure.finding
        if not failure.listed:
            self.findings.append(finding)
        self.verdict = "aborted" if finding.code == "ABORTED" else "failed" if self.target_written else "refused"
        self.reason = f"{failure.stage}: [{finding.code}] {finding.object}: {finding.message}"

    def judge(self) -> None:
        """Settle the verdict: verified only if every check passed and no finding is an open error."""
        if self.verdict is not None:
            return
        failed = [one for one in self.checks if one.outcome == "failed"]
        errors = open_errors(self.findings)
        if failed:
            self.verdict, self.reason = (
                "failed",
                f"{len(failed)} checks failed, first {failed[0].name}: {failed[0].detail}",
            )
        elif errors:
            self.verdict, self.reason = "failed", f"[{errors[0].code}] {errors[0].object}: {errors[0].message}"
        elif not self.rows_compared:
            self.verdict, self.reason = "failed", "The rows were not verified: no check of them was done."
        else:
            self.verdict = "verified"

    def troubles(self) -> bool:
        """Whether a check has failed or an error is open: then nobody should start the app on the data."""
        return bool(open_errors(self.findings)) or any(one.outcome == "failed" for one in self.checks)

    def record_input(self) -> Payload:
        """Input of the activities that keep findings and clean up."""
        return {
            "run": self.run.model_dump(mode="json"),
            "restore": self.restore or None,
            "verdict": self.verdict,
            "target_written": self.target_written,
            "opened": self.opened,
            "findings": [one.model_dump(mode="json") for one in self.findings],
        }

    def report(self, record: StageRecord) -> Payload:
        """Input of `write_report`."""
        return self.record_input() | {
            "reason": self.reason,
            "stages": [one.model_dump(mode="json") for one in record.progress.stages],
            "gates": [one.model_dump(mode="json") for one in record.gates],
            "target_written_at": record.progress.target_written_at and record.progress.target_written_at.isoformat(),
            "snapshot": self.snapshot or None,
            "answers": self.answers,
            "checks": [one.model_dump(mode="json") for one in self.checks],
            "reported_at": record.now().isoformat(),
        }

    def summary(self, record: StageRecord) -> Summary:
        """Output of `migrate`."""
        return Summary(
            id=self.run.id, verdict=self.verdict or "failed", stages=record.progress.stages,
            findings=len(self.findings), reason=self.reason,
        )  # fmt: skip
