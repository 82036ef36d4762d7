// Rates over time, from the samples that the polls gave while the page was open.

import { h, put, s } from "./dom.js";
import { precise } from "./format.js";

const MINUTES = 10;
const samples = new Map(); // run id → [{ at, rows, bytes }], cumulative over all stages

export function sample(id, stages, at) {
  const list = samples.get(id) ?? [];
  const sum = (name) => stages.reduce((total, one) => total + one.done[name], 0);
  const last = list.at(-1);
  if (last && at - last.at < 900) return;
  list.push({ at, rows: sum("rows"), bytes: sum("bytes") });
  while (list.length && at - list[0].at > MINUTES * 60_000) list.shift();
  samples.set(id, list);
}

// Units a second between two samples; a stage that closes may correct its count downwards, which is no rate.
export function rates(id, name) {
  const list = samples.get(id) ?? [];
  return list.slice(1).map((one, n) => ({ at: one.at, rate: Math.max(0, (one[name] - list[n][name]) / ((one.at - list[n].at) / 1000)) }));
}

// Made once for a run, and changed in place.
export function plot(id, name, title, words) {
  const none = h("p", { class: "soft" }, "Measured while this page is open; not enough yet.");
  const rate = h("strong", {}), highest = h("span", { class: "soft" }), scale = [0, 1, 2].map(() => h("span", {}));
  const first = h("span", {}), last = h("span", {}), area = s("path", { class: "area" }), line = s("path", { class: "line" });
  const picture = s("svg", { viewBox: "0 0 600 114", preserveAspectRatio: "none", role: "img" },
    [10, 60, 110].map((at) => s("line", { x1: 0, x2: 600, y1: at, y2: at, class: "axis" })), area, line);
  const frame = h("div", { class: "frame" }, h("div", { class: "scale", "aria-hidden": "true" }, scale), picture, h("div", { class: "ends", "aria-hidden": "true" }, first, last));
  const show = () => {
    const points = rates(id, name);
    none.hidden = points.length > 1;
    frame.hidden = !none.hidden;
    if (points.length < 2) return;
    const top = Math.max(...points.map((one) => one.rate), 1), from = points[0].at, to = points.at(-1).at, now = words(points.at(-1).rate);
    const path = points.map((one) => `${(((one.at - from) / Math.max(1, to - from)) * 600).toFixed(1)},${(110 - (one.rate / top) * 100).toFixed(1)}`).join(" L");
    put(rate, `${now}/s`);
    put(highest, ` highest ${words(top)}/s`);
    [top, top / 2, 0].forEach((one, at) => put(scale[at], one ? `${words(one)}/s` : "0"));
    put(first, precise(new Date(from).toISOString()));
    put(last, precise(new Date(to).toISOString()));
    picture.setAttribute("aria-label", `${title}: now ${now} a second, highest ${words(top)}`);
    area.setAttribute("d", `M0,110 L${path} L600,110 Z`);
    line.setAttribute("d", `M${path}`);
  };
  return { element: h("figure", { class: "plot" }, h("figcaption", {}, title, " ", rate, highest), none, frame), show };
}
