// Numbers, times and names for people; the same words as the report (shared/wording.py).

export const STAGES = {
  "early-preflight": "Preflight before the window",
  "scheduled": "Waiting for the window",
  "environment": "Wake the environment",
  "preflight": "Preflight",
  "snapshot-time": "Waiting for the snapshot time",
  "snapshot": "Snapshot to staging",
  "restore": "Restore to the temporary database",
  "plan": "Plan of the target schema",
  "inspect": "Inspection of the data",
  "prepare": "Prepare the source for the runtime",
  "approval": "Approval",
  "late": "Decision: it will be late",
  "scale": "Scale the target up",
  "database": "Database",
  "schema": "Create the target schema",
  "copy": "Copy rows",
  "finish": "Keys, indexes, sequences",
  "room": "Empty the target for the runtime",
  "hand-over": "Hand over to the Mendix runtime",
  "adopt": "Read the runtime's schema",
  "verify": "Verify rows",
  "take-back": "Take the settings back",
  "empty": "Empty the target container",
  "files": "Copy files",
  "files-verify": "Verify files",
  "reconcile": "Reconcile rows and files",
  "start-gate": "Decision: start the app",
  "app-stop": "Stop the target app",
  "sessions": "Waiting for others to leave the target",
  "app-start": "Start the target app",
  "smoke": "Smoke tests",
  "app-restart": "Start the target app again",
  "app-end": "Stop the rehearsal's app",
  "source-start": "Start the source app again",
  "stock": "Take stock of the target",
  "report": "Report",
  "clean-up": "Clean-up",
  "stand-down": "Stand the environment down",
};

// A run's reason is `stage: [CODE] object: message`; anything else stays one sentence.
export function reasonParts(reason) {
  const found = /^([\w-]+): \[([A-Z_]+)\] (.*?): ([^]*)$/.exec(reason);
  if (!found) return { words: reason, code: "" };
  const [, stage, code, object, message] = found;
  return { words: `${stageWords(stage)}${object && object !== stage ? `, ${object}` : ""}: ${message}`, code };
}

export const GATES = {
  "start": "The window has to open.",
  "snapshot": "The agreed snapshot time has to come.",
  "late-snapshot": "It will be late. Take the snapshot all the same?",
  "late-after-snapshot": "The snapshot is taken, and it will be late. Go on?",
  "late-after-restore": "The database is restored, and it will be late. Go on?",
  "late": "It will be late. Go on?",
  "late-write": "It will be late. Write the target all the same?",
  "write": "Write the target?",
  "stop-app": "Is the target app stopped?",
  "started": "Has the app copied the source, and started?",
  "start-app": "Start the target app?",
};

export const OVER = new Set(["verified", "failed", "refused", "aborted", "planned", "lost"]);

// Statuses of a run that this app's engine does not know, and what is said in the place of a stage.
export const UNKNOWN = { lost: "Lost: nobody knows how it ended", elsewhere: "In another task hub" };

export const stageWords = (name) => STAGES[name] ?? name;

export const count = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (Math.abs(bytes) >= 999.5 && at < units.length - 1) { bytes /= 1000; at += 1; }
  return `${bytes.toFixed(at === 0 || Math.abs(bytes) >= 99.95 ? 0 : Math.abs(bytes) >= 9.995 ? 1 : 2)} ${units[at]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor((whole % 3600) / 60);
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours} h ${two(minutes)} min` : `${minutes} min ${two(whole % 60)} s`;
}

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const second = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const precise = (iso) => (iso ? second.format(new Date(iso)) : "–");
export const moment = (iso) => (iso ? day.format(new Date(iso)) : "–");
export const clock = (iso) => (iso ? hour.format(new Date(iso)) : "–");

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

export function ago(iso) {
  const seconds = (Date.now() - new Date(iso)) / 1000;
  return seconds < 90 ? "just now" : seconds < 86400 ? `${duration(Math.round(seconds / 60) * 60).replace(" 00 s", "")} ago` : moment(iso);
}

// A plain first word gets its capital letter; the name of a table or an option stays as it is.
export const sentence = (text) => (/^[a-z]+([ ,.:]|$)/.test(text) ? text.slice(0, 1).toUpperCase() + text.slice(1) : text);
