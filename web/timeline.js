// The stages of a run as a live timeline, and the bar of the migration window.

import { h, put } from "./dom.js";
import { clock, count, duration, moment, precise, size, stageWords } from "./format.js";

const UNTIL_THE_WINDOW = new Set(["early-preflight", "scheduled"]); // hours or days, beside which nothing else would be seen

// Made once for a run, and changed in place: selection and reading position stay. `left` has the expected seconds left by
// stage, those to come among them.
export function timeline() {
  const none = h("p", { class: "soft" }, "No stage has started yet."), first = h("span", {}), last = h("span", {}), rows = new Map();
  const list = h("ol", { class: "stages" }, axis(first, last));
  const kept = (key, make) => rows.get(key) ?? rows.set(key, make()).get(key);
  const show = (stages, now, left = {}) => {
    none.hidden = stages.length > 0;
    list.hidden = !none.hidden;
    if (!stages.length) return;
    const drawn = stages.filter((one) => !UNTIL_THE_WINDOW.has(one.name));
    const [start, end] = ends(drawn.length ? drawn : stages, now);
    const place = (time) => Math.min(100, Math.max(0, ((time - start) / (end - start)) * 100));
    put(first, precise(new Date(start).toISOString()));
    put(last, precise(new Date(end).toISOString()));
    const begun = new Set(stages.map((one) => one.name));
    const shown = stages.map((stage, at) => {
      const one = kept(`${at} ${stage.name}`, () => row(stage.name));
      one.show(stage, drawn.length && UNTIL_THE_WINDOW.has(stage.name) ? null : place, now, left[stage.name]);
      return one.element;
    });
    const toCome = Object.entries(left).filter(([name]) => !begun.has(name)).map(([name, seconds]) => {
      const one = kept(`to come ${name}`, () => pending(name));
      put(one.took, about(seconds));
      return one.element;
    });
    arrange(list, [list.firstChild, ...shown, ...toCome]);
  };
  return { parts: [none, list], show };
}

function ends(stages, now) {
  const start = Math.min(...stages.map((one) => Date.parse(one.started_at)));
  return [start, Math.max(...stages.map((one) => (one.ended_at ? Date.parse(one.ended_at) : now)), start + 1000)];
}

// Puts children in order; those that are in their place already are not touched.
function arrange(list, wanted) {
  wanted.forEach((one, at) => { if (list.children[at] !== one) list.insertBefore(one, list.children[at] ?? null); });
  while (list.children.length > wanted.length) list.lastChild.remove();
}

function axis(first, last) {
  return h("li", { class: "stage axis", "aria-hidden": "true" }, h("span", { class: "name" }), h("span", {}),
    h("span", { class: "ends" }, first, last), h("span", { class: "took" }, "took"));
}

function row(name) {
  const mark = h("span", {}), done = h("b", {}), bar = h("i", {}, done), took = h("span", { class: "took" }), what = h("span", { class: "did" });
  const element = h("li", {}, h("span", { class: "name" }, stageWords(name)), mark, h("span", { class: "lane", "aria-hidden": "true" }, bar), took, what);
  const show = (stage, place, now, expected) => {
    const part = stage.state === "running" ? share(stage) : null;
    element.className = `stage ${stage.state}`;
    mark.className = `mark tone-${stage.state}`;
    put(mark, part === null ? stage.state : `running, ${Math.floor(part * 100)} %`);
    bar.hidden = place === null;
    if (place) {
      const from = place(Date.parse(stage.started_at));
      bar.style.left = `${Math.min(from, 99.4)}%`;
      bar.style.width = `${Math.max(0.6, place(stage.ended_at ? Date.parse(stage.ended_at) : now) - from)}%`;
    }
    done.hidden = part === null;
    done.style.width = `${(part ?? 0) * 100}%`;
    put(took, stage.state === "skipped" ? "–" : duration(stage.seconds));
    put(what, did(stage, expected));
  };
  return { element, show };
}

function pending(name) {
  const took = h("span", { class: "took" });
  return { took, element: h("li", { class: "stage pending" }, h("span", { class: "name" }, stageWords(name)), h("span", { class: "mark tone-skipped" }, "to come"),
    h("span", { class: "lane", "aria-hidden": "true" }), took) };
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
