// One run: verdict, gate, window, stages, rates, findings, and what can be done about it.

import { Problem, get, poll, post } from "./api.js";
import { announce, draw, h } from "./dom.js";
import { OVER, clock, count, moment, sentence, size, stageWords } from "./format.js";
import { sourceSettings } from "./handover.js";
import { plot, sample } from "./plot.js";
import { badge } from "./runs.js";
import { liveTables, tables } from "./tables.js";
import { timeline, windowBar } from "./timeline.js";

const NAMES = ["head", "gate", "window", "findings", "plots", "stages", "tables", "abort"];

export async function run(place, signal, trouble, id) {
  document.title = `Run ${id} – mxferry`;
  const parts = Object.fromEntries(NAMES.map((name) => [name, h("section", { class: `part-${name}` })]));
  place.append(...NAMES.map((name) => parts[name]));
  const path = `/api/migrations/${encodeURIComponent(id)}`;
  await poll(async () => {
    const seen = await get(path, signal);
    if (signal.aborted) return false;
    show(parts, seen, path);
    if (OVER.has(seen.status)) await tables(parts.tables, seen, path);
    else await liveTables(parts.tables, path, signal);
    return !OVER.has(seen.status);
  }, signal, trouble);
}

function show(parts, seen, path) {
  const at = Date.now(), stages = seen.progress.stages, over = OVER.has(seen.status);
  document.title = `${seen.status}: ${seen.target} – mxferry`;
  if (!over) sample(seen.id, stages, at);
  draw(parts.head, [seen.status, seen.reason, seen.progress.target_written_at, now(seen)], () => head(seen));
  draw(parts.gate, over ? null : seen.progress.gate, (gate) => (gate && !gate.decision ? gatePanel(gate, path) : decided(seen.progress.gate)));
  draw(parts.window, [seen.window, seen.forecast, Math.floor(at / 10_000)], () => (over ? [] : windowBar(seen, at)));
  draw(parts.findings, seen.findings, findings);
  draw(parts.stages, over ? stages : [stages, at], () => [h("h2", {}, "Stages"), ...timeline(stages, at)]);
  draw(parts.plots, over ? null : at, () => (over ? [] : [h("h2", {}, "Rates"), h("div", { class: "plots" },
    plot(seen.id, "rows", "Rows a second", count), plot(seen.id, "bytes", "Bytes a second", size))]));
  draw(parts.abort, [over, seen.progress.target_written_at], () => (over ? [] : abortPanel(seen, path)));
  announce(over ? `The migration to ${seen.target} is over: ${seen.status}. ${seen.reason}` : `${seen.target}: ${seen.status}${seen.stage ? `, ${stageWords(seen.stage)}` : ""}`);
}

function head(seen) {
  const over = OVER.has(seen.status);
  const what = seen.purpose === "rehearsal" ? "Rehearsal" : "Cut-over";
  return [
    h("h1", {}, `${what} to ${seen.target}`),
    h("div", { class: `verdict tone-${seen.status}` }, h("strong", {}, over ? sentence(seen.status) : now(seen)),
      over ? null : badge(seen.status), seen.reason ? h("p", {}, seen.reason) : null, h("p", {}, pointOfNoReturn(seen, over))),
    h("p", { class: "bar-of-actions" },
      over ? h("a", { href: `#/runs/${seen.id}/report`, class: "button primary" }, "Read the report") : null,
      h("a", { href: `#/runs/${seen.id}/runbook`, class: "button" }, "Runbook"),
      h("span", { class: "soft" }, `Asked for ${moment(seen.created_at)} · `, h("span", { class: "id" }, seen.id))),
  ];
}

function now(seen) {
  const running = seen.progress.stages.filter((one) => one.state === "running" || one.state === "waiting").map((one) => stageWords(one.name));
  return running.join(" · ") || sentence(seen.status);
}

function pointOfNoReturn(seen, over) {
  const since = seen.progress.target_written_at;
  if (!since) return over ? "The target was not written in this run: it is as it was before." : "The target has not been written: an abort leaves it as it was.";
  if (seen.status === "verified") return `The target was written from ${clock(since)} on, and everything in it was verified.`;
  return `The target has been written since ${clock(since)}. If the run does not end verified, do not start the app on it; the runbook has the way back.`;
}

const QUESTIONS = {
  write: ["Write the target?", "Everything before the point of no return is done. Approving lets the run write the target."],
  start: ["Waiting for the window", "The run starts by itself when the window opens."],
  late: ["It will be late. Go on?", "The end is expected after the window closes. Approving goes on; aborting leaves the target as it is."],
  "stop-app": ["Stop the target app", "Stop the app on the target, then approve: the run goes on to write the target."],
  "started": ["Has the app copied the source, and started?", "Give the app the settings below, start it, and approve when its log says that it has started. The rows are compared then."],
  "start-app": ["Start the app on the target?", "The data is there and verified. If this app has no adapter, start it by hand first; then approve."],
};

function gatePanel(gate, path) {
  const [title, words] = QUESTIONS[gate.name] ?? [gate.name, ""];
  const by = h("input", { id: "by", autocomplete: "name", required: true, maxlength: 200, value: sessionStorage.getItem("mxferry-by") ?? "" });
  const comment = h("input", { id: "comment", maxlength: 2000 });
  const said = h("p", { role: "alert", class: "wrong" });
  const decide = async (event, what) => {
    if (!by.reportValidity()) return;
    sessionStorage.setItem("mxferry-by", by.value);
    event.target.disabled = true;
    try {
      await post(`${path}/${what}`, { by: by.value, comment: comment.value });
      said.textContent = what === "approve" ? "Approved; the run goes on." : "Abort asked for.";
    } catch (error) {
      said.textContent = `${error.message} ${error instanceof Problem ? error.remedy : ""}`;
      event.target.disabled = false;
    }
  };
  const approve = h("button", { type: "button", class: "primary", onclick: (event) => decide(event, "approve") }, "Approve");
  const abort = h("button", { type: "button", onclick: (event) => decide(event, "abort") }, "Abort");
  const settings = gate.name === "started" ? sourceSettings(path, () => (by.reportValidity() ? by.value : null)) : null;
  return [h("div", { class: "gate" }, h("h2", {}, title), h("p", {}, words), gate.comment ? h("p", { class: "wrong" }, gate.comment) : null,
    h("p", { class: "soft" }, gate.name === "start" ? `It opens ${moment(gate.answers_by)}.` : `Without an answer by ${moment(gate.answers_by)} the run stops.`),
    h("div", { class: "fields" }, h("label", { for: "by" }, "Your name"), by, gate.name === "start" ? null : [h("label", { for: "comment" }, "Comment (optional)"), comment]),
    settings, h("p", { class: "bar-of-actions" }, gate.name === "start" ? null : approve, abort), said)];
}

function decided(gate) {
  if (!gate?.decision) return [];
  return [h("p", { class: "soft" }, `Gate “${gate.name}”: ${gate.decision}${gate.decided_by ? ` by ${gate.decided_by}` : ""}, ${clock(gate.decided_at)}${gate.comment ? `: “${gate.comment}”` : ""}`)];
}

function findings(list) {
  if (!list.length) return [];
  const open = list.filter((one) => !one.chosen && one.severity !== "info");
  const rest = list.filter((one) => !open.includes(one));
  const errors = open.filter((one) => one.severity === "error");
  const sorted = [...errors, ...open.filter((one) => one.severity !== "error")];
  return [h("h2", {}, "Findings ", h("small", {}, errors.length ? `${errors.length} of ${list.length} stand in the way` : String(list.length))), ...sorted.map(finding),
    rest.length ? h("details", {}, h("summary", {}, `${rest.length} remedied or for information`), rest.map(finding)) : null];
}

export function finding(one) {
  const tone = one.chosen ? "passed" : one.severity;
  return h("article", { class: "finding" },
    h("header", {}, h("span", { class: `mark tone-${tone}` }, one.chosen ? "remedied" : one.severity), h("code", {}, one.code), h("strong", {}, one.object), one.count === null ? null : h("span", { class: "soft" }, `${count(one.count)} affected`)),
    h("p", {}, sentence(one.message)),
    one.chosen ? h("p", {}, "Chosen remedy: ", h("strong", {}, one.chosen)) : null,
    one.remedy ? h("p", { class: "soft" }, one.remedy) : null,
    one.choices.length && !one.chosen ? h("p", { class: "soft" }, "Remedies a request may choose: ", one.choices.map((choice) => [h("code", {}, choice), " "])) : null,
    one.examples.length ? h("ul", {}, one.examples.map((text) => h("li", {}, h("code", {}, text)))) : null);
}

function abortPanel(seen, path) {
  const by = h("input", { id: "abort-by", required: true, maxlength: 200, autocomplete: "name", value: sessionStorage.getItem("mxferry-by") ?? "" });
  const why = h("input", { id: "abort-why", maxlength: 2000 });
  const said = h("p", { role: "alert", class: "wrong" });
  const sure = h("button", { type: "button", class: "danger", onclick: async () => {
    if (!by.reportValidity()) return;
    sure.disabled = true;
    try { await post(`${path}/abort`, { by: by.value, comment: why.value }); said.textContent = "Abort asked for; what runs ends or is rolled back."; }
    catch (error) { said.textContent = error.message; sure.disabled = false; }
  } }, "Abort this run");
  return [h("details", { class: "abort" }, h("summary", {}, "Abort…"),
    h("p", {}, seen.progress.target_written_at ? "The target has been written already: after an abort it is incomplete. The report will say what it holds." : "Nothing has been written to the target: it stays as it was."),
    h("div", { class: "fields" }, h("label", { for: "abort-by" }, "Your name"), by, h("label", { for: "abort-why" }, "Why"), why), h("p", {}, sure), said)];
}

