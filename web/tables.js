// Tables and files of a run that is over, from its report.

import { Problem, get } from "./api.js";
import { draw, h, named } from "./dom.js";
import { count, size } from "./format.js";

export async function tables(place, seen, path) {
  const report = await get(`${path}/report`).catch((error) => {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  });
  draw(place, report, (found) => (found ? [numbers(found), checks(found), rows(found)] : [h("p", { class: "soft" }, `The run ${seen.id} left no report.`)]));
}

function numbers(report) {
  const figure = (words, value, more) => h("div", {}, h("dt", {}, words), h("dd", {}, value), h("dd", {}, more));
  return h("dl", { class: "figures" },
    report.rows_not_counted ? figure("Rows copied", "–", `not counted: ${report.rows_not_counted}`) : figure("Rows copied", count(report.rows), `${count(report.tables.length)} tables`),
    report.files.not_counted ? figure("Files copied", "–", `not counted: ${report.files.not_counted}`) : figure("Files copied", count(report.files.copied), `of ${count(report.files.expected)}`),
    report.files.not_counted ? null : figure("Bytes of files", size(report.files.bytes), ""),
    figure("Checks passed", count(report.checks.filter((one) => one.outcome === "passed").length), `${count(report.checks.filter((one) => one.outcome === "failed").length)} failed, ${count(report.checks.filter((one) => one.outcome === "skipped").length)} not done`));
}

function checks(report) {
  if (!report.checks.length) return null;
  return [h("h2", {}, "Checks"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Checks" }, h("table", {},
    h("thead", {}, h("tr", {}, ["Outcome", "Check", "How", "Result"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, report.checks.map((one) => h("tr", {}, h("td", {}, h("span", { class: `mark tone-${one.outcome}` }, one.outcome === "skipped" ? "not done" : one.outcome)), h("th", { scope: "row" }, one.name), h("td", {}, one.how), h("td", {}, one.detail || "–"))))))];
}

function rows(report) {
  if (!report.tables.length) return null;
  const differs = (one) => one.rows_target !== null && one.content === "copy" && one.rows_target !== one.rows_source - one.rejected - (one.left_out ?? 0);
  const sorted = [...report.tables].sort((a, b) => differs(b) - differs(a) || b.rows_source - a.rows_source);
  return [h("h2", {}, "Tables ", h("small", {}, count(sorted.length))), h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Tables" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Table"), ["Source", "Copied", "Target", "Bytes"].map((text) => h("th", { scope: "col", class: "n" }, text)))),
    h("tbody", {}, sorted.map((one) => h("tr", { class: differs(one) ? "differs" : null }, h("th", { scope: "row" }, named(one.name), one.content === "empty" || one.reason ? h("span", { class: "soft" }, one.content === "empty" ? " left empty" : ` ${one.reason}`) : null),
      [one.rows_source, one.rows_copied, one.rows_target].map((value) => h("td", { class: "n" }, count(value))), h("td", { class: "n" }, size(one.bytes)))))))];
}
