"""The steps of a cut-over, in the words of the field; `runbook.py` gives them times and states.

Sources: https://docs.mendix.com/developerportal/deploy/migrating-to-different-cloud/ (TTL a week ahead, same
configuration, no upgrade during the move), https://docs.mendix.com/refguide/custom-settings/ (runtime settings).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.contracts import Run


@dataclass(frozen=True)
class StepText:
    """One step; `stages` are the run's stages that do it, `minutes` what a person is given for it.

    `key` is the step's own and never changes: what people say of the step is kept under it, wherever the step stands.
    """

    key: str
    title: str
    who: str
    detail: str
    check: str
    undo: str
    stages: tuple[str, ...] = ()
    minutes: float = 0
    point_of_no_return: bool = False
    when: Callable[[Run], bool] | None = None
    by_hand: Callable[[Run], bool] | None = None
    """Whether people do it though a run may: then they say so, as of every step without stages."""


@dataclass(frozen=True)
class Phase:
    """Steps that belong together."""

    title: str
    steps: tuple[StepText, ...] = field(default=())


@dataclass(frozen=True)
class WayBack:
    """What the migration lead does if it goes wrong."""

    title: str
    detail: str
    check: str


MXFERRY = "mxferry"
LEAD = "migration lead"
APPLICATION = "application"
NETWORK = "network"


def _cutover(run: Run) -> bool:
    """Whether users, DNS and the source are moved; a rehearsal leaves them as they are."""
    return run.request.options.purpose == "cutover"


def _stops_app(run: Run) -> bool:
    return run.request.source.kind == "mendix-cloud" and run.request.source.stop_app


def _starts_again(run: Run) -> bool:
    return run.request.start_source_again in ("unless-verified", "always")


def _starts_at_once(run: Run) -> bool:
    return run.request.start_source_again == "always"


def _starts_at_once_in_a_cutover(run: Run) -> bool:
    return _cutover(run) and _starts_at_once(run)


def _stays_stopped(run: Run) -> bool:
    return _cutover(run) and not _starts_at_once(run)


def _agreed(run: Run) -> bool:
    return run.request.snapshot_at is not None


def _by_hand(run: Run) -> bool:
    return not _stops_app(run) and _cutover(run)


def _only_taken(run: Run) -> bool:
    return not _stops_app(run)


def _asked(run: Run) -> bool:
    return run.request.approval


def _by_runtime(run: Run) -> bool:
    return run.request.options.target_mode == "runtime"


def _by_people(run: Run) -> bool:
    return _by_runtime(run) and run.request.options.hand_over == "ask"


def _by_us(run: Run) -> bool:
    return not _by_runtime(run)


def _straight(run: Run) -> bool:
    return run.request.options.target_mode == "postgres"


def _over_temporary(run: Run) -> bool:
    return not _straight(run)


def _dropped(run: Run) -> bool:
    return run.request.target_not_empty == "drop"


BEFOREHAND = Phase(
    "Before the day",
    (
        StepText("lower-ttl", "Lower the TTL of the DNS records", NETWORK, "A week ahead, set the TTL of every name that will move to 300 seconds. The old TTL must have run out before the cut-over.", "`dig +noall +answer NAME` shows at most 300.", "Set the old TTL again.", when=_cutover),
        StepText("freeze-model", "Freeze the model", APPLICATION, "Deploy to the target the very package that the source runs; no upgrade of the Mendix runtime during the move.", "The model version in both environments is the same, and the request expects it.", "Lift the freeze."),
        StepText("configure-target", "Configure the target app", APPLICATION, "The same constants, custom settings, certificates and scheduled events as at the source; database and storage settings of the target; a licence; an administrator password that is not `1`.", "The settings of both environments, side by side.", "Nothing to undo."),
        StepText("rehearse", "Rehearse", LEAD, "Run a rehearsal until its verdict is verified, and choose a remedy for each finding.", "The page says “ready for the cut-over”.", "Nothing to undo: a rehearsal writes a throw-away target.", when=_cutover),
        StepText("tell-everybody", "Tell everybody", LEAD, "Send the announcements below.", "Nobody is surprised.", "Send a correction.", when=_cutover),
    ),
)  # fmt: skip

IN_THE_WINDOW = Phase(
    "In the window",
    (
        StepText("wake-environment", "Wake the environment", MXFERRY, "The temporary PostgreSQL is started where the run needs one.", "The stage is done.", "Nothing to undo.", stages=("scheduled", "environment")),
        StepText("preflight", "Preflight", MXFERRY, "Rights, connections, room, versions, an empty target: everything that can be known before.", "No finding without a remedy.", "Nothing to undo.", stages=("preflight",)),
        StepText("wait-for-snapshot-time", "Wait for the agreed snapshot time", MXFERRY, "Everything is ready; the users finish their work.", "The stage waits.", "Abort: nothing was stopped, nothing was written.", stages=("snapshot-time",), when=_agreed),
        StepText("stop-source-app", "Stop the source app", APPLICATION, "From here on the users are out. Show a maintenance page.", "The environment says Stopped.", "Start the source app: nothing has changed in it.", minutes=5, when=_by_hand),
        StepText("stop-source-app-and-snapshot", "Stop the source app and take the snapshot", MXFERRY, "By the Deploy API and the Backups API. From here on the users are out.", "The environment says Stopped, the snapshot completed.", "Start the source app: nothing has changed in it.", stages=("snapshot",), when=_stops_app),
        StepText("take-snapshot", "Take the snapshot to staging", MXFERRY, "The archive is copied by the storage service and indexed.", "Its length and MD5 are in the report.", "Nothing to undo.", stages=("snapshot",), when=_only_taken),
        StepText("start-source-app", "Start the source app again", MXFERRY, "The snapshot is taken; the users go on working at the source. What they write from here on is not moved.", "The environment says Running.", "Stop it in the Mendix portal.", stages=("source-start",), when=_starts_at_once),
        StepText("restore", "Restore to the temporary database", MXFERRY, "The dump is loaded into a PostgreSQL database of this run alone.", "The stage says how many rows.", "Nothing to undo.", stages=("restore",), when=_over_temporary),
        StepText("plan-and-inspect", "Plan and inspect", MXFERRY, "The target schema is planned; every rule of the target is tried on the data.", "No finding without a remedy.", "Nothing to undo.", stages=("plan", "inspect", "prepare"), when=_over_temporary),
        StepText("plan", "Plan", MXFERRY, "What will be made on the target is read from the dump; versions, extensions and masks are checked. The script is in the report.", "No finding without a remedy.", "Nothing to undo.", stages=("plan",), when=_straight),
        StepText("go-or-no-go", "Go or no-go", LEAD, "Read the findings and the expected end. Approve on the page.", "The gate is in the report, with name and time.", "Abort: source and target are as they were.", stages=("approval",), minutes=5, when=_asked),
        StepText("stop-target-app", "Stop the target app", APPLICATION, "No session may be open on the target database.", "The app does not answer.", "Start it again.", stages=("app-stop",), minutes=2, by_hand=lambda run: not run.request.stop_target_app),
        StepText("drop-target", "Drop what the target holds", MXFERRY, "As the request confirmed: tables and blobs of the target are dropped.", "The stage is done.", "None: restore the target's own backup.", stages=("empty",), point_of_no_return=True, when=_dropped),
        StepText("move-rows", "Move the rows", MXFERRY, "Schema, rows, keys and indexes; then every row is verified.", "Every check passed.", "Abort, start the source app again, drop the target.", stages=("scale", "schema", "copy", "finish", "verify"), point_of_no_return=True, when=_by_us),
        StepText("hand-over-by-hand", "Hand over to the Mendix runtime", APPLICATION, "The target is empty. Give the app the SourceDatabase settings of the page (the password comes after a click), start it, and approve when its log says that it has started.", "The page shows tables and rows growing on the target.", "Abort, stop the app, take the settings away, start the source app again, drop the target.", stages=("scale", "room", "hand-over"), point_of_no_return=True, when=_by_people),
        StepText("hand-over", "Hand over to the Mendix runtime", MXFERRY, "The target is empty. The adapter gives the app the SourceDatabase settings and starts it; the runtime copies the rows.", "The page shows tables and rows growing on the target.", "Abort, start the source app again, drop the target.", stages=("scale", "room", "hand-over"), point_of_no_return=True, when=lambda run: _by_runtime(run) and not _by_people(run)),
        StepText("compare-rows", "Compare the rows", MXFERRY, "The runtime's schema is read; every row that a started app does not change by itself is compared.", "Every check passed.", "As before.", stages=("adopt", "verify"), when=_by_runtime),
        StepText("take-settings-away", "Take the settings away", APPLICATION, "Take the SourceDatabase settings out of the app and start it again: the database and the login that they name are gone.", "The app starts without them.", "Nothing to undo.", stages=("take-back",), minutes=5, when=_by_people),
        StepText("move-files", "Move the files", MXFERRY, "Beside the rows, blob to blob; then every file is verified.", "Every check passed.", "Abort, start the source app again, empty the container.", stages=("files", "files-verify")),
        StepText("reconcile", "Reconcile rows and files", MXFERRY, "Each row of System.FileDocument has its blob, each blob its row.", "No blob is missing.", "As before.", stages=("reconcile",)),
        StepText("give-login-rights", "Give the app's login its rights", APPLICATION, "On the target database: db_owner; or db_datareader, db_datawriter and, for AutoNumbers, GRANT EXECUTE ON OBJECT::[dbo].[usp_nextsequencevalue].", "The login can execute the procedure.", "Revoke them.", minutes=2, when=_over_temporary),
        StepText("start-target-app", "Start the target app", APPLICATION, "Scheduled events off at first (ScheduledEventExecution NONE).", "The log ends in “Mendix Runtime successfully started”; no pending database change.", "Stop it.", stages=("start-gate", "app-start"), minutes=10, by_hand=lambda run: run.request.start_target_app == "no"),
        StepText("smoke-tests", "Smoke tests", MXFERRY, "The checks of the request; then the people of the business try what matters to them.", "Each has its verdict in the report.", "Stop the target app, roll back.", stages=("smoke",), minutes=15),
        StepText("switch-dns", "Switch DNS or the load balancer", NETWORK, "Names and certificates now lead to the target. With a TTL of 300 seconds everybody has followed within five minutes; some resolvers take longer.", "`dig` from outside shows the new address; the certificate is the right one.", "Switch back. What users wrote on the target since is lost at the source: decide before anybody writes.", minutes=10, when=_cutover),
        StepText("scheduled-events-on", "Scheduled events on", APPLICATION, "ScheduledEventExecution as at the source.", "The next event ran.", "Off again.", minutes=5, when=_cutover),
        StepText("say-done", "Say that it is done", LEAD, "Send the last message below.", "The users are in.", "Send a correction.", minutes=5, when=_cutover),
    ),
)  # fmt: skip

AFTERWARDS = Phase(
    "Afterwards",
    (
        StepText("report-and-clean-up", "Report and clean-up", MXFERRY, "The report is written; staging and the temporary database are deleted.", "The report says what was deleted.", "Nothing to undo.", stages=("report", "clean-up", "stand-down")),
        StepText("keep-source-stopped", "Keep the source stopped", APPLICATION, "Nobody may write there. Keep it, and its last snapshot, until the business has closed a month on the target.", "The environment says Stopped.", "Nothing to undo.", when=_stays_stopped),
        StepText("close-source", "Close the source to its users", APPLICATION, "It was started again right behind the snapshot, as the request says: what users write there since is not on the target. Stop it when nobody needs it any more, and keep it, and its last snapshot, until the business has closed a month on the target.", "The environment says Stopped, or nobody can sign in.", "Start it in the Mendix portal.", when=_starts_at_once_in_a_cutover),
        StepText("back-up-target", "Take a backup of the target", APPLICATION, "The first backup of the new home, before the first working day.", "A restore of it was tried.", "Nothing to undo.", when=_cutover),
        StepText("raise-ttl", "Raise the TTL again", NETWORK, "When nobody wants to go back any more.", "`dig` shows the old TTL.", "Nothing to undo.", when=_cutover),
    ),
)  # fmt: skip

PHASES = (BEFOREHAND, IN_THE_WINDOW, AFTERWARDS)
TITLES = {step.key: step.title for phase in PHASES for step in phase.steps}
"""What a step is called, by its key."""

OF_A_REHEARSAL = "Abort on the page. The source was only read; the target is throw-away, and nobody works on it."
BEFORE_WRITING = "Abort on the page. The source was only read, the target was not written."
BEFORE_DNS = (
    "Abort on the page; the target is incomplete, do not start the app on it, and stop it if it was started. The next try "
    "drops the target first."
)
BEFORE_DNS_RUNTIME = (
    "Abort on the page; stop the app, which was started for the hand-over only, and take its SourceDatabase settings away: "
    "the target is incomplete. The next try drops the target first."
)
BY_HAND = "Start the source app; take the maintenance page away."
BY_ITSELF = (
    "The run starts the source app again by itself, unless the target app was started; watch the stage, and start it in "
    "the Mendix portal if it fails. Take the maintenance page away."
)

AT_ONCE = (
    "The run has started the source app again right behind the snapshot; see that it runs, and start it in the Mendix "
    "portal if it does not. Take the maintenance page away."
)


def roll_back(run: Run) -> list[WayBack]:
    """Return the ways back, from each part of the night; from a rehearsal there is nothing to go back to."""
    if not _cutover(run):
        return [WayBack("At any time", OF_A_REHEARSAL, "The next rehearsal drops the target first.")]
    start = AT_ONCE if _starts_at_once(run) else BY_ITSELF if _starts_again(run) else BY_HAND
    back = "The users are in, at the source."
    return [
        WayBack("Before the point of no return", f"{BEFORE_WRITING} {start}", back),
        WayBack("After it, before the DNS switch", f"{BEFORE_DNS_RUNTIME if _by_runtime(run) else BEFORE_DNS} {start}", back),
        WayBack("After the DNS switch", "Stop the target app at once. What was written on the target since the switch exists nowhere else: export it, or decide to lose it, and write down who decided. Switch DNS back, start the source app by hand: the run does not, once the target app was started.", f"{back[:-1]}; the loss is known."),
    ]  # fmt: skip
