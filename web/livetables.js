// The tables of a run that goes on: what is planned, and what is there by now.

import { Problem, get, poll } from "./api.js";
import { h, named, put } from "./dom.js";
import { count } from "./format.js";

const EVERY = 5000; // the app counts no more often

// Asked for beside the run's status, so that a target that is slow to count holds nothing else up.
export async function liveTables(place, path, signal, isOver) {
  const table = rows();
  await poll(async () => {
    if (isOver()) return false;
    const found = await get(`${path}/tables`, signal).catch((error) => {
      if (error instanceof Problem) return null; // the run goes on, and so does the page: it is asked for again
      throw error;
    });
    if (isOver()) return false;
    if (found?.tables.length) table.show(place, found.tables.filter((one) => !one.empty));
    return true;
  }, signal, () => {}, EVERY);
}

// Made once for the same tables, and changed in place: scrolling, selection and focus stay.
function rows() {
  const summary = h("small", {}), body = h("tbody", {});
  const table = h("table", { class: "live" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Table"), h("th", { scope: "col", class: "n" }, "Rows"), h("th", { scope: "col", class: "n" }, "On the target"), h("th", { scope: "col" }, "Share"))), body);
  const parts = [h("h2", {}, "Tables ", summary), h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Tables" }, table)];
  let names = null, shown = [];
  const show = (place, list) => {
    const wanted = JSON.stringify(list.map((one) => one.name));
    if (wanted !== names) {
      shown = list.map((one) => row(one.name));
      body.replaceChildren(...shown.map((one) => one.element));
      names = wanted;
    }
    list.forEach((one, at) => shown[at].show(one));
    const there = list.filter((one) => one.rows_target !== null && (one.rows === null || one.rows_target >= one.rows)).length;
    const counted = list.some((one) => one.rows_target !== null);
    table.classList.toggle("uncounted", !counted);
    put(summary, counted ? `${count(there)} of ${count(list.length)} have all their rows` : `${count(list.length)} to copy`);
    if (!parts[0].isConnected) place.replaceChildren(...parts);
  };
  return { show };
}

function row(name) {
  const planned = h("td", { class: "n" }), there = h("td", { class: "n" }), done = h("i", { "left%": 0 });
  const lane = h("span", { class: "lane small", role: "img" }, done);
  const element = h("tr", {}, h("th", { scope: "row" }, named(name)), planned, there, h("td", { class: "progress" }, lane));
  const show = (one) => {
    put(planned, count(one.rows));
    put(there, count(one.rows_target));
    lane.hidden = one.rows_target === null;
    const share = one.rows ? Math.min(100, ((one.rows_target ?? 0) / one.rows) * 100) : 100;
    lane.setAttribute("aria-label", `${Math.floor(share)} %`);
    done.style.width = `${share}%`;
  };
  return { element, show };
}
