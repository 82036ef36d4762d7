// The stages of a run as a live timeline, and the bar of the migration window.

import { h } from "./dom.js";
import { clock, count, duration, moment, precise, size, stageWords } from "./format.js";

// `left` has the expected seconds left by stage, those to come among them.
export function timeline(stages, now, left = {}) {
  if (!stages.length) return [h("p", { class: "soft" }, "No stage has started yet.")];
  const start = Math.min(...stages.map((one) => Date.parse(one.started_at)));
  const end = Math.max(...stages.map((one) => (one.ended_at ? Date.parse(one.ended_at) : now)), start + 1000);
  const place = (time) => Math.min(100, Math.max(0, ((time - start) / (end - start)) * 100));
  const begun = new Set(stages.map((one) => one.name));
  const toCome = Object.entries(left).filter(([name]) => !begun.has(name));
  return [h("ol", { class: "stages" }, axis(start, end), stages.map((one) => row(one, place, now, left[one.name])), toCome.map(pending))];
}

function axis(start, end) {
  const words = (time) => precise(new Date(time).toISOString());
  return h("li", { class: "stage axis", "aria-hidden": "true" }, h("span", { class: "name" }), h("span", {}),
    h("span", { class: "ends" }, h("span", {}, words(start)), h("span", {}, words(end))), h("span", { class: "took" }, "took"));
}

function row(stage, place, now, expected) {
  const from = place(Date.parse(stage.started_at));
  const width = Math.max(0.6, place(stage.ended_at ? Date.parse(stage.ended_at) : now) - from);
  const done = share(stage);
  const state = stage.state === "running" && done !== null ? `running, ${Math.floor(done * 100)} %` : stage.state;
  return h("li", { class: `stage ${stage.state}` },
    h("span", { class: "name" }, stageWords(stage.name)),
    h("span", { class: `mark tone-${stage.state}` }, state),
    h("span", { class: "lane", "aria-hidden": "true" },
      h("i", { "left%": Math.min(from, 99.4), "width%": width }, stage.state === "running" && done !== null ? h("b", { "width%": done * 100 }) : null)),
    h("span", { class: "took" }, stage.state === "skipped" ? "–" : duration(stage.seconds)),
    h("span", { class: "did" }, did(stage, expected)));
}

function pending([name, seconds]) {
  return h("li", { class: "stage pending" }, h("span", { class: "name" }, stageWords(name)), h("span", { class: "mark tone-skipped" }, "to come"),
    h("span", { class: "lane", "aria-hidden": "true" }), h("span", { class: "took" }, about(seconds)));
}

// Share done, 0 to 1, by the best measure there is; null without a total.
export function share(stage) {
  for (const name of ["bytes", "rows", "files", "tables"]) if (stage.total[name]) return Math.min(1, stage.done[name] / stage.total[name]);
  return null;
}

function did(stage, expected) {
  const part = (name, words, show) => {
    if (!stage.done[name] && !stage.total[name]) return null;
    const whole = stage.total[name] && stage.state === "running" ? ` of ${show(stage.total[name])}` : "";
    return `${show(stage.done[name])}${whole}${words}`;
  };
  const parts = [part("rows", " rows", count), part("files", " files", count), part("tables", " tables", count), part("bytes", "", size)];
  const left = stage.eta_seconds ?? (stage.state === "running" ? expected : undefined);
  if (left !== undefined && left !== null) parts.push(`${about(left)} left`);
  if (stage.note) parts.push(stage.note);
  return parts.filter(Boolean).join(" · ");
}

// The window: from its start (or the run's) to its end, where we are, and where the end is expected.
export function windowBar(run, now) {
  if (!run.window) return expectedEnd(run);
  const start = Date.parse(run.window.start ?? run.created_at), end = Date.parse(run.window.end);
  const eta = run.forecast?.ends_at ? Date.parse(run.forecast.ends_at) : null;
  const last = Math.max(end, eta ?? 0, now) + (end - start) * 0.02;
  const at = (time) => Math.min(100, Math.max(0, ((time - start) / (last - start)) * 100));
  const late = eta !== null && eta > end;
  const spare = eta === null ? null : late ? `${duration((eta - end) / 1000)} too late` : `${duration((end - eta) / 1000)} to spare`;
  const policy = { warn: "If late: a warning.", ask: "If late: the run asks before the target is written.", stop: "If late: the run stops before the target is written." }[run.window.when_late];
  return [h("div", { class: `window ${late ? "late" : ""}` },
    eta === null ? null : h("div", { class: "flags" }, flag(at(eta), `expected end ${clock(run.forecast.ends_at)}, ${spare}`)),
    h("div", { class: "bar", "aria-hidden": "true" },
      h("span", { class: "open", "left%": 0, "width%": at(end) }),
      h("span", { class: "gone", "left%": 0, "width%": at(Math.min(now, last)) }),
      eta === null ? null : h("span", { class: "eta", "left%": at(eta) })),
    h("div", { class: "flags" }, flag(0, `window opens ${clock(run.window.start ?? run.created_at)}`), flag(at(end), `closes ${clock(run.window.end)}`)),
    h("p", { class: "soft" }, [`Window ${moment(run.window.start ?? run.created_at)} to ${moment(run.window.end)}.`, run.forecast ? `The end is reckoned from ${run.forecast.basis}.` : "The end is not known yet.", policy,
      run.snapshot_at ? `Snapshot at ${clock(run.snapshot_at)}.` : ""].join(" ")))];
}

function expectedEnd(run) {
  if (!run.forecast) return [];
  return [h("p", { class: "soft" }, `Expected end ${clock(run.forecast.ends_at)}, in ${duration(run.forecast.seconds_left)}; reckoned from ${run.forecast.basis}.`)];
}

// A label at its place on the bar; near an end it stays inside.
function flag(left, words) {
  return h("span", { class: `flag ${left < 15 ? "first" : left > 85 ? "last" : ""}`, "left%": left }, words);
}

const about = (seconds) => `about ${duration(seconds < 60 ? Math.max(1, Math.round(seconds)) : seconds).replace(/\.0 s$/, " s")}`;
