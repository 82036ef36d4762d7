// One run: verdict, gate, window, findings, stages, rates, tables, and what can be done about it.

import { get, poll } from "./api.js";
import { announce, draw, h, named, ticked } from "./dom.js";
import { OVER, UNKNOWN, clock, count, moment, reasonParts, sentence, size, stageWords } from "./format.js";
import { abortPanel, decisions, gatePanel } from "./gate.js";
import { liveTables } from "./livetables.js";
import { messages, telling } from "./messages.js";
import { plot, sample } from "./plot.js";
import { choosing } from "./remedies.js";
import { badge } from "./runs.js";
import { tables } from "./tables.js";
import { timeline, windowBar } from "./timeline.js";

const NAMES = ["head", "gate", "abort", "window", "stages", "plots", "findings", "decisions", "messages", "tables"];
const SELDOM = 15; // times slower: channels are told once a minute, and may be for a day after the run

export async function run(place, signal, trouble, id) {
  document.title = `Run ${id} – mxferry`;
  const parts = Object.fromEntries(NAMES.map((name) => [name, h("section", { class: `part-${name}` })]));
  place.append(...NAMES.map((name) => parts[name]));
  const path = `/api/migrations/${encodeURIComponent(id)}`;
  const signedIn = (await get("/api/profiles", signal).catch(() => ({}))).signed_in_as;
  const panels = { abort: abortPanel(path, signedIn), gate: null, stages: timeline(), plots: [plot(id, "rows", "Rows a second", count), plot(id, "bytes", "Bytes a second", size)] };
  parts.abort.append(...panels.abort.parts);
  parts.abort.hidden = parts.plots.hidden = parts.stages.hidden = true;
  parts.stages.append(h("h2", {}, "Stages"), ...panels.stages.parts);
  parts.plots.append(h("h2", {}, "Rates"), h("div", { class: "plots" }, panels.plots.map((one) => one.element)));
  let over = false, live = null, listed = false;
  await poll(async () => {
    const seen = await get(path, signal);
    if (signal.aborted) return false;
    over = OVER.has(seen.status);
    show(parts, panels, seen, path, signedIn);
    if (!over) live ??= liveTables(parts.tables, path, signal, () => over);
    else if (!listed) await tables(parts.tables, seen, path);
    listed = over;
    return over ? telling(seen) && SELDOM : true;
  }, signal, trouble);
}

function show(parts, panels, seen, path, signedIn) {
  const at = Date.now(), stages = seen.progress.stages, over = OVER.has(seen.status);
  document.title = `${seen.status}: ${seen.target} – mxferry`;
  if (!over) sample(seen.id, stages, at);
  draw(parts.head, [seen.status, seen.reason, seen.progress.target_written_at, now(seen), planned(seen), seen.remains], () => head(seen));
  const gate = over || seen.progress.gate?.decision ? null : seen.progress.gate;
  draw(parts.gate, gate && [gate.name, gate.asked_at], () => {
    panels.gate = gate && gatePanel(gate, path, signedIn);
    return panels.gate?.parts ?? [];
  });
  panels.gate?.update(gate, seen);
  draw(parts.decisions, seen.progress.gates, decisions);
  draw(parts.messages, seen.messages, messages);
  draw(parts.window, [seen.window, seen.forecast, Math.floor(at / 10_000)], () => (over ? [] : windowBar(seen, at)));
  draw(parts.findings, [seen.findings, over], () => findings(seen));
  if (over && parts.stages.previousSibling !== parts.findings) parts.stages.before(parts.findings); // how it ended comes first
  parts.stages.hidden = false;
  panels.stages.show(stages, at, over ? {} : seen.forecast?.stages ?? {});
  parts.plots.hidden = over;
  panels.plots.forEach((one) => one.show());
  panels.abort.update(seen);
  parts.abort.hidden = over || seen.status in UNKNOWN || (gate !== null && !parts.abort.contains(document.activeElement)); // the gate has an abort of its own
  announce(over ? `The migration to ${seen.target} is over: ${seen.status}. ${reasonParts(seen.reason).words.replaceAll("`", "")}` : `${seen.target}: ${seen.status}${seen.stage ? `, ${stageWords(seen.stage)}` : ""}`);
}

function head(seen) {
  const over = OVER.has(seen.status);
  const what = seen.purpose === "rehearsal" ? "Rehearsal" : "Cut-over";
  return [
    h("h1", {}, `${what} to ${seen.target}`),
    h("div", { class: `verdict tone-${seen.status}` }, h("strong", {}, UNKNOWN[seen.status] ?? (over ? sentence(seen.status) : now(seen))),
      over ? null : badge(seen.status), why(seen.reason), h("p", {}, pointOfNoReturn(seen, over))),
    h("p", { class: "bar-of-actions" },
      over && seen.status !== "lost" ? h("a", { href: `#/runs/${seen.id}/report`, class: "button primary" }, "Read the report") : null,
      h("a", { href: `#/runs/${seen.id}/runbook`, class: "button" }, "Runbook"),
      over ? h("a", { href: `#/runs/${seen.id}/again`, class: "button" }, "Start again…") : null,
      planned(seen) ? h("a", { href: `#/runs/${seen.id}/schema`, class: "button" }, "Schema script") : null,
      h("span", { class: "soft" }, `Asked for ${moment(seen.created_at)}${seen.asked_by ? ` by ${seen.asked_by}` : ""} · `, h("span", { class: "id" }, seen.id))),
    over ? remains(seen.remains) : null,
  ];
}

// What the clean-up kept or could not delete; the sweep goes on trying, and completes it.
function remains(found) {
  const left = Object.entries(found?.left ?? {});
  if (!found?.kept_until && !left.length) return null;
  return h("div", { class: `notice tone-${left.length ? "warning" : "info"}` },
    found.kept_until ? h("p", {}, `Staging and the temporary database are kept until ${moment(found.kept_until)}, as the request says.`) : null,
    left.map(([part, why]) => h("p", {}, `Not deleted yet: ${part}. `, h("span", { class: "soft" }, sentence(why)))));
}

const planned = (seen) => seen.progress.stages.some((one) => one.name === "plan" && one.ended_at !== null);

function why(reason) {
  if (!reason) return null;
  const { words, code } = reasonParts(reason);
  return h("p", {}, ticked(words), code ? [" ", h("code", { class: "soft" }, code)] : null);
}

function now(seen) {
  const running = seen.progress.stages.filter((one) => one.state === "running" || one.state === "waiting").map((one) => stageWords(one.name));
  return running.join(" · ") || sentence(seen.status);
}

function pointOfNoReturn(seen, over) {
  const since = seen.progress.target_written_at;
  if (seen.status in UNKNOWN) return "Whether it has written the target is not known here.";
  if (!since) return over ? "The target was not written in this run: it is as it was before." : "The target has not been written: an abort leaves it as it was.";
  if (seen.status === "verified") return `The target was written from ${clock(since)} on, and everything in it was verified.`;
  return `The target has been written since ${clock(since)}. ${aboutTheApp(seen, over)} The runbook has the way back.`;
}

// Target mode `runtime` has the app started to copy its source; so may a gate or an adapter at the end.
function aboutTheApp(seen, over) {
  const state = (name) => seen.progress.stages.find((one) => one.name === name)?.state ?? "skipped";
  if (!over && (state("hand-over") === "waiting" || state("hand-over") === "running")) return "Start the app only for the hand-over, and let no users in.";
  const started = state("hand-over") !== "skipped" || state("app-start") !== "skipped" || state("start-gate") === "done";
  if (started) return over ? "The app was started on it: stop it, and let no users in." : "The app was started on it: let no users in before everything is verified; if it does not end so, stop the app.";
  return over ? "Do not start the app on it." : "If the run does not end verified, do not start the app on it.";
}

function findings(seen) {
  const list = seen.findings, over = OVER.has(seen.status);
  if (!list.length) return [];
  const open = list.filter((one) => !one.chosen && one.severity !== "info");
  const rest = list.filter((one) => !open.includes(one));
  const errors = open.filter((one) => one.severity === "error");
  const sorted = [...errors, ...open.filter((one) => one.severity !== "error")];
  const remediable = over ? sorted.filter((one) => one.choices.length) : [];
  return [h("h2", {}, "Findings ", h("small", {}, errors.length ? `${errors.length} of ${list.length} ${over ? "stood" : errors.length === 1 ? "stands" : "stand"} in the way` : String(list.length))),
    remediable.length ? choosing(seen.id, remediable, finding) : null,
    sorted.filter((one) => !remediable.includes(one)).map((one) => finding(one)),
    rest.length ? h("details", {}, h("summary", {}, `${rest.length} remedied or for information`), rest.map((one) => finding(one))) : null];
}

// `choice` is the field that a remedy is chosen in, if it can be.
export function finding(one, choice = null) {
  const tone = one.chosen ? "passed" : one.severity;
  return h("article", { class: "finding" },
    h("header", {}, h("span", { class: `mark tone-${tone}` }, one.chosen ? "remedied" : one.severity), h("code", {}, one.code), h("strong", {}, named(one.object)), one.count === null ? null : h("span", { class: "soft" }, `${count(one.count)} affected`)),
    h("p", {}, ticked(sentence(one.message))),
    one.chosen ? h("p", {}, "Chosen remedy: ", h("strong", {}, one.chosen)) : null,
    one.remedy ? h("p", { class: "soft" }, ticked(one.remedy)) : null,
    one.choices.length && !one.chosen && !choice ? h("p", { class: "soft" }, "Remedies a request may choose: ", one.choices.map((choice) => [h("code", {}, choice), " "])) : null,
    one.examples.length ? h("ul", {}, one.examples.map((text) => h("li", {}, h("code", {}, text)))) : null,
    choice);
}
