// What people decide: the gate that the run waits at, the decisions so far, and the abort.

import { Problem, post } from "./api.js";
import { h } from "./dom.js";
import { GATES, moment } from "./format.js";
import { sourceSettings } from "./handover.js";

const QUESTIONS = {
  write: ["Write the target?", "Everything before the point of no return is done. Approving lets the run write the target."],
  start: ["Waiting for the window", "The run starts by itself when the window opens."],
  snapshot: ["Waiting for the agreed snapshot time", "Everything is ready. The snapshot is taken by itself at the agreed time; the users should be out by then."],
  "late-snapshot": ["It will be late. Take the snapshot all the same?", "The end is expected after the window closes. Nothing was stopped yet. Approving goes on; aborting leaves source and target as they are."],
  "late-write": ["It will be late. Write the target all the same?", "The end is expected after the window closes, later than was said before. Approving writes the target; aborting leaves it as it is."],
  late: ["It will be late. Go on?", "The end is expected after the window closes. Approving goes on; aborting leaves the target as it is."],
  "stop-app": ["Stop the target app", "Stop the app on the target, then approve: the run goes on to write the target."],
  "started": ["Has the app copied the source, and started?", "Give the app the settings below, start it, and approve when its log says that it has started. The rows are compared then."],
  "start-app": ["Start the app on the target?", "The data is there and verified. If this app has no adapter, start it by hand first; then approve."],
};

// A name that the person gives, or the one of the Entra sign-in, which the app takes whatever the page sends.
function identity(id, signedIn) {
  if (signedIn) return { part: h("p", {}, "Signed in as ", h("strong", {}, signedIn), "; that name goes into the report."), get: () => signedIn };
  const by = h("input", { id, autocomplete: "name", required: true, maxlength: 200, value: sessionStorage.getItem("mxferry-by") ?? "" });
  const get = () => {
    if (!by.reportValidity()) return null;
    sessionStorage.setItem("mxferry-by", by.value);
    return by.value;
  };
  return { part: [h("label", { for: id }, "Your name"), by], get };
}

export function gatePanel(gate, path, signedIn, seen) {
  const [title, words] = QUESTIONS[gate.name] ?? [gate.name, ""];
  const byTheClock = gate.name === "start" || gate.name === "snapshot";
  const who = identity("by", signedIn);
  const comment = h("input", { id: "comment", maxlength: 2000 });
  const said = h("p", { role: "alert", class: "wrong" });
  const decide = async (event, what) => {
    const by = who.get();
    if (!by) return;
    event.target.disabled = true;
    try {
      await post(`${path}/${what}`, { by, comment: comment.value, gate: gate.name });
      said.textContent = what === "approve" ? "Approved; the run goes on." : "Abort asked for.";
    } catch (error) {
      said.textContent = `${error.message} ${error instanceof Problem ? error.remedy : ""}`;
      event.target.disabled = false;
    }
  };
  const approve = h("button", { type: "button", class: "primary", onclick: (event) => decide(event, "approve") }, "Approve");
  const abort = h("button", { type: "button", onclick: (event) => decide(event, "abort") }, "Abort");
  return [h("div", { class: "gate" }, h("h2", {}, title), h("p", {}, words), gate.comment ? h("p", { class: "wrong" }, gate.comment) : null, byTheClock ? null : known(seen.findings),
    h("p", { class: "soft" }, byTheClock ? `That is ${moment(gate.answers_by)}.` : `Without an answer by ${moment(gate.answers_by)} ${gate.name === "start-app" ? "the app is not started" : "the run stops"}.`),
    gate.name === "started" ? sourceSettings(path, who.get) : null,
    h("div", { class: "fields" }, who.part, byTheClock ? null : [h("label", { for: "comment" }, "Comment (optional)"), comment]),
    h("p", { class: "bar-of-actions" }, byTheClock ? null : approve, abort), said)];
}

// What somebody who decides wants to know first.
function known(findings) {
  const open = findings.filter((one) => !one.chosen && one.severity !== "info").length;
  return h("p", {}, open ? `${open === 1 ? "1 finding is" : `${open} findings are`} open; read ${open === 1 ? "it" : "them"} below.` : "No finding is open.");
}

export function decisions(gates) {
  const made = gates.filter((one) => one.decision && one.decision !== "opened");
  if (!made.length) return [];
  return [h("h2", {}, "Decisions ", h("small", {}, String(made.length))), h("ul", { class: "decisions" }, made.map((one) => h("li", {},
    h("span", { class: `mark tone-${one.decision}` }, one.decision), " ", h("strong", {}, GATES[one.name] ?? one.name),
    ` ${one.decided_by ? `by ${one.decided_by}${one.signed_in ? "" : " (as stated)"}, ` : ""}${moment(one.decided_at)}`, one.comment ? h("span", { class: "soft" }, ` “${one.comment}”`) : null)))];
}

export function abortPanel(seen, path, signedIn) {
  const who = identity("abort-by", signedIn);
  const why = h("input", { id: "abort-why", maxlength: 2000 });
  const said = h("p", { role: "alert", class: "wrong" });
  const sure = h("button", { type: "button", class: "danger", onclick: async () => {
    const by = who.get();
    if (!by) return;
    sure.disabled = true;
    try { await post(`${path}/abort`, { by, comment: why.value }); said.textContent = "Abort asked for; what runs ends or is rolled back."; }
    catch (error) { said.textContent = error.message; sure.disabled = false; }
  } }, "Abort this run");
  return [h("details", { class: "abort" }, h("summary", {}, "Abort…"),
    h("p", {}, seen.progress.target_written_at ? "The target has been written already: after an abort it is incomplete. The report will say what it holds." : "Nothing has been written to the target: it stays as it was."),
    h("div", { class: "fields" }, who.part, h("label", { for: "abort-why" }, "Why"), why), h("p", {}, sure), said)];
}
