// The stages of a run as a live timeline, and the bar of the migration window.

import { h } from "./dom.js";
import { clock, count, duration, moment, size, stageWords } from "./format.js";

export function timeline(stages, now) {
  if (!stages.length) return [h("p", { class: "soft" }, "No stage has started yet.")];
  const start = Math.min(...stages.map((one) => Date.parse(one.started_at)));
  const end = Math.max(...stages.map((one) => (one.ended_at ? Date.parse(one.ended_at) : now)), start + 1000);
  const place = (time) => Math.min(100, Math.max(0, ((time - start) / (end - start)) * 100));
  return [h("ol", { class: "stages" }, stages.map((one) => row(one, place, now)))];
}

function row(stage, place, now) {
  const left = place(Date.parse(stage.started_at));
  const width = Math.max(0.6, place(stage.ended_at ? Date.parse(stage.ended_at) : now) - left);
  const done = share(stage);
  const state = stage.state === "running" && done !== null ? `running, ${Math.floor(done * 100)} %` : stage.state;
  return h("li", { class: `stage ${stage.state}` },
    h("span", { class: "name" }, stageWords(stage.name)),
    h("span", { class: `mark tone-${stage.state}` }, state),
    h("span", { class: "lane", "aria-hidden": "true" },
      h("i", { "left%": Math.min(left, 99.4), "width%": width }, stage.state === "running" && done !== null ? h("b", { "width%": done * 100 }) : null)),
    h("span", { class: "took" }, stage.state === "skipped" ? "–" : duration(stage.seconds)),
    h("span", { class: "did" }, did(stage)));
}

// Share done, 0 to 1, by the best measure there is; null without a total.
export function share(stage) {
  for (const name of ["bytes", "rows", "files", "tables"]) if (stage.total[name]) return Math.min(1, stage.done[name] / stage.total[name]);
  return null;
}

function did(stage) {
  const part = (name, words, show) => {
    if (!stage.done[name] && !stage.total[name]) return null;
    const whole = stage.total[name] && stage.state === "running" ? ` of ${show(stage.total[name])}` : "";
    return `${show(stage.done[name])}${whole}${words}`;
  };
  const parts = [part("rows", " rows", count), part("files", " files", count), part("tables", " tables", count), part("bytes", "", size)];
  if (stage.eta_seconds !== null) parts.push(`about ${duration(stage.eta_seconds)} left`);
  if (stage.note) parts.push(stage.note);
  return parts.filter(Boolean).join(" · ");
}

// The window: from its start (or the run's) to its end, where we are, and where the end is expected.
export function windowBar(run, now) {
  if (!run.window) return [];
  const start = Date.parse(run.window.start ?? run.created_at), end = Date.parse(run.window.end);
  const eta = run.forecast?.ends_at ? Date.parse(run.forecast.ends_at) : null;
  const last = Math.max(end, eta ?? 0) + (end - start) * 0.05;
  const at = (time) => Math.min(100, Math.max(0, ((time - start) / (last - start)) * 100));
  const late = eta !== null && eta > end;
  const words = [`Window ${moment(run.window.start ?? run.created_at)} to ${clock(run.window.end)}.`];
  if (eta !== null) words.push(late ? `Expected end ${clock(run.forecast.ends_at)}: ${duration((eta - end) / 1000)} too late.` : `Expected end ${clock(run.forecast.ends_at)}: ${duration((end - eta) / 1000)} to spare.`);
  if (run.forecast?.basis) words.push(`Reckoned from ${run.forecast.basis}.`);
  words.push({ warn: "If late: a warning.", ask: "If late: the run asks before the target is written.", stop: "If late: the run stops before the target is written." }[run.window.when_late]);
  return [h("div", { class: `window ${late ? "late" : ""}` },
    h("div", { class: "bar", "aria-hidden": "true" },
      h("span", { class: "open", "left%": 0, "width%": at(end) }),
      h("span", { class: "gone", "left%": 0, "width%": at(Math.min(now, last)) }),
      eta === null ? null : h("span", { class: "eta", "left%": at(eta) })),
    h("p", {}, words.join(" ")))];
}
