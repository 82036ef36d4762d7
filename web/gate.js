// What people decide: the gate that the run waits at, the decisions so far, and the abort.

import { Problem, post } from "./api.js";
import { h, put } from "./dom.js";
import { GATES, moment } from "./format.js";
import { sourceSettings } from "./handover.js";

const QUESTIONS = {
  write: ["Write the target?", "Everything before the point of no return is done. Approving lets the run write the target."],
  start: ["Waiting for the window", "The run starts by itself when the window opens."],
  snapshot: ["Waiting for the agreed snapshot time", "Everything is ready. The snapshot is taken by itself at the agreed time; the users should be out by then."],
  "late-snapshot": ["It will be late. Take the snapshot all the same?", "The end is expected after the window closes. Nothing was stopped yet. Approving goes on; aborting leaves source and target as they are."],
  "late-write": ["It will be late. Write the target all the same?", "The end is expected after the window closes, later than was said before. Approving writes the target; aborting leaves it as it is."],
  "late-after-snapshot": ["It will be late. Go on with this snapshot?", "The end is expected after the window closes; the snapshot is in staging. Approving goes on; aborting leaves the target as it is, and ends the wait of the users."],
  "late-after-restore": ["It will be late. Go on with what was restored?", "The end is expected after the window closes; the database is restored. Approving goes on; aborting leaves the target as it is, and ends the wait of the users."],
  late: ["It will be late. Go on?", "The end is expected after the window closes. Approving goes on; aborting leaves the target as it is."],
  "stop-app": ["Stop the target app", "Stop the app on the target, then approve: the run goes on to write the target."],
  "started": ["Has the app copied the source, and started?", "Give the app the settings below, start it, and approve when its log says that it has started. The rows are compared then."],
  "start-app": ["Start the app on the target?", "The data is there and verified. If this app has no adapter, start it by hand first; then approve."],
};

// A name that the person gives, or the one of the Entra sign-in, which the app takes whatever the page sends.
export function identity(id, signedIn) {
  if (signedIn) return { part: h("p", {}, "Signed in as ", h("strong", {}, signedIn), "; that name goes into the report."), get: () => signedIn };
  const by = h("input", { id, autocomplete: "name", required: true, maxlength: 200, value: sessionStorage.getItem("mxferry-by") ?? "" });
  const get = () => {
    if (!by.reportValidity()) return null;
    sessionStorage.setItem("mxferry-by", by.value);
    return by.value;
  };
  return { part: [h("label", { for: id }, "Your name"), by], get };
}

// What asks at a gate: its parts, and `update` for what may change while it waits, so that nothing typed is lost.
export function gatePanel(gate, path, signedIn) {
  const [title, words] = QUESTIONS[gate.name] ?? [gate.name, ""];
  const byTheClock = gate.name === "start" || gate.name === "snapshot";
  const who = identity("by", signedIn);
  const comment = h("input", { id: "comment", maxlength: 2000 });
  const said = spoken(), again = h("p", { class: "wrong" }), open = h("p", {});
  const decide = async (what) => {
    const by = who.get();
    if (!by) return;
    buttons.forEach((one) => { one.disabled = true; });
    const done = await post(`${path}/${what}`, { by, comment: comment.value, gate: gate.name }).then(() => true, (error) => said.fail(error));
    if (done) said.say(what === "approve" ? "Approved; the run goes on." : "Abort asked for.");
    else buttons.forEach((one) => { one.disabled = false; });
  };
  const approve = h("button", { type: "button", class: "primary", onclick: () => decide("approve") }, "Approve");
  const abort = h("button", { type: "button", class: "danger", onclick: () => decide("abort") }, "Abort this run");
  const buttons = [approve, abort], meaning = h("p", {});
  const parts = [h("div", { class: "gate" }, h("h2", {}, title), h("p", {}, words), again, byTheClock ? null : open,
    h("p", { class: "soft" }, byTheClock ? `That is ${moment(gate.answers_by)}.` : `Without an answer by ${moment(gate.answers_by)} ${gate.name === "start-app" ? "the app is not started" : "the run stops"}.`),
    gate.name === "started" ? sourceSettings(path, who.get) : null,
    h("div", { class: "fields" }, who.part, byTheClock ? null : [h("label", { for: "comment" }, "Comment (optional)"), comment]),
    byTheClock ? null : h("p", { class: "bar-of-actions" }, approve),
    h("details", { class: "abort" }, h("summary", {}, "Abort…"), meaning, h("p", {}, abort)), said.part)];
  const update = (now, seen) => {
    put(open, known(seen.findings));
    put(meaning, whatAnAbortMeans(seen));
    if (again.textContent === (now.comment ?? "")) return;
    again.textContent = now.comment ?? ""; // asked once more: why the answer was not taken
    buttons.forEach((one) => { one.disabled = false; });
    said.say("");
  };
  return { parts, update };
}

// What became of a click. It takes the focus that the button, no longer to be pressed, has lost.
function spoken() {
  const part = h("p", { role: "alert", tabindex: -1 });
  const say = (words, tone = "said") => {
    part.className = tone;
    part.textContent = words;
    if (words) part.focus({ preventScroll: true });
  };
  const fail = (error) => { say(`${error.message} ${error instanceof Problem ? error.remedy : ""}`, "wrong"); return false; };
  return { part, say, fail };
}

// What somebody who decides wants to know first.
function known(findings) {
  const open = findings.filter((one) => !one.chosen && one.severity !== "info").length;
  return open ? `${open === 1 ? "1 finding is" : `${open} findings are`} open; read ${open === 1 ? "it" : "them"} below.` : "No finding is open.";
}

export function decisions(gates) {
  const made = gates.filter((one) => one.decision && one.decision !== "opened");
  if (!made.length) return [];
  return [h("h2", {}, "Decisions ", h("small", {}, String(made.length))), h("ul", { class: "decisions" }, made.map((one) => h("li", {},
    h("span", { class: `mark tone-${one.decision}` }, one.decision), " ", h("strong", {}, GATES[one.name] ?? one.name),
    ` ${one.decided_by ? `by ${one.decided_by}${one.signed_in ? "" : " (as stated)"}, ` : ""}${moment(one.decided_at)}`, one.comment ? h("span", { class: "soft" }, ` “${one.comment}”`) : null)))];
}

// Made once for a run: what is typed stays while the run goes on. `update` says what an abort means by now.
export function abortPanel(path, signedIn) {
  const who = identity("abort-by", signedIn);
  const why = h("input", { id: "abort-why", maxlength: 2000 });
  const said = spoken(), meaning = h("p", {});
  const sure = h("button", { type: "button", class: "danger", onclick: async () => {
    const by = who.get();
    if (!by) return;
    sure.disabled = true;
    const done = await post(`${path}/abort`, { by, comment: why.value }).then(() => true, (error) => said.fail(error));
    if (done) said.say("Abort asked for; what runs ends or is rolled back.");
    sure.disabled = done;
  } }, "Abort this run");
  const parts = [h("details", { class: "abort" }, h("summary", {}, "Abort…"), meaning,
    h("div", { class: "fields" }, who.part, h("label", { for: "abort-why" }, "Why"), why), h("p", {}, sure), said.part)];
  return { parts, update: (seen) => put(meaning, whatAnAbortMeans(seen)) };
}

const whatAnAbortMeans = (seen) => (seen.progress.target_written_at
  ? "The target has been written already: after an abort it is incomplete. The report will say what it holds."
  : "Nothing has been written to the target: it stays as it was.");
