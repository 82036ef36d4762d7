// Rates over time, from the samples that the polls gave while the page was open.

import { h, s } from "./dom.js";
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

export function plot(id, name, title, words) {
  const points = rates(id, name);
  if (points.length < 2) return h("figure", { class: "plot" }, h("figcaption", {}, title), h("p", { class: "soft" }, "Measured while this page is open; not enough yet."));
  const top = Math.max(...points.map((one) => one.rate), 1);
  const first = points[0].at, last = points.at(-1).at;
  const x = (at) => ((at - first) / Math.max(1, last - first)) * 600;
  const y = (rate) => 110 - (rate / top) * 100;
  const line = points.map((one) => `${x(one.at).toFixed(1)},${y(one.rate).toFixed(1)}`).join(" L");
  const now = points.at(-1).rate;
  const time = (at) => precise(new Date(at).toISOString());
  return h("figure", { class: "plot" },
    h("figcaption", {}, title, " ", h("strong", {}, `${words(now)}/s`), h("span", { class: "soft" }, ` highest ${words(top)}/s`)),
    h("div", { class: "frame" },
      h("div", { class: "scale", "aria-hidden": "true" }, [top, top / 2, 0].map((rate) => h("span", {}, rate ? `${words(rate)}/s` : "0"))),
      s("svg", { viewBox: "0 0 600 114", preserveAspectRatio: "none", role: "img", "aria-label": `${title}: now ${words(now)} a second, highest ${words(top)}` },
        [10, 60, 110].map((at) => s("line", { x1: 0, x2: 600, y1: at, y2: at, class: "axis" })),
        s("path", { d: `M0,110 L${line} L600,110 Z`, class: "area" }), s("path", { d: `M${line}`, class: "line" })),
      h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, time(first)), h("span", {}, time(last)))));
}
