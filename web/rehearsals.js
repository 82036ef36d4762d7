// Rehearsals side by side: how long each stage took, what changed, and what still stands between us and the cut-over.

import { Problem, get } from "./api.js";
import { h, ticked } from "./dom.js";
import { count, duration, moment, size, stageWords } from "./format.js";
import { finding } from "./run.js";
import { badge } from "./runs.js";

const PEOPLE = new Set(["scheduled", "snapshot-time", "approval", "late", "start-gate"]); // waits, which measure nothing

export async function rehearsals(place, signal) {
  document.title = "Rehearsals – mxferry";
  place.append(h("h1", {}, "Rehearsals"));
  const { targets, missed } = await get("/api/rehearsals", signal).catch((error) => {
    if (error instanceof Problem && error.status === 404) return { targets: [], missed: [] };
    throw error;
  });
  if (signal.aborted) return;
  if (!targets.length) place.append(h("div", { class: "empty" }, h("p", {}, "No rehearsal has ended yet. A rehearsal is a whole migration on to a profile that says it is throw-away."), h("p", {}, h("a", { href: "#/new", class: "button" }, "Start one"))));
  place.append(...targets.map(one), ...notStarted(missed));
}

// Those that the timer could not start: they have no run to look at.
function notStarted(missed) {
  if (!missed.length) return [];
  return [h("h2", {}, "Could not start"), ...missed.map((one) => h("article", { class: "finding" },
    h("header", {}, h("span", { class: "mark tone-failed" }, "not started"), h("strong", {}, moment(one.at)), one.code ? h("code", {}, one.code) : null, h("span", { class: "soft" }, one.target ? `on to ${one.target}` : "")),
    h("p", {}, ticked(one.why)), one.remedy ? h("p", { class: "soft" }, ticked(one.remedy)) : null))];
}

function one(target) {
  return h("section", {},
    h("h2", {}, `On to ${target.target}`),
    h("div", { class: `verdict tone-${target.ready ? "verified" : "waiting"}` },
      h("strong", {}, target.ready ? "Ready for the cut-over" : "Not ready yet"),
      target.open.length ? h("ul", {}, target.open.map((text) => h("li", {}, ticked(text)))) : h("p", {}, "The last rehearsal was verified, and nothing got worse.")),
    target.regressions.length ? [h("h3", {}, "Got worse, or at risk"), h("ul", {}, target.regressions.map((text) => h("li", {}, ticked(text))))] : null,
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Rehearsals on to ${target.target}` }, table(target)),
    target.rehearsals[0]?.findings.length ? h("details", {}, h("summary", {}, `Findings of the last one (${target.rehearsals[0].findings.length})`), target.rehearsals[0].findings.map((found) => finding(found))) : null);
}

// Slower is what the app says is slower: the newest against the last verified one like it, at equal size.
function table({ rehearsals: list, slower }) {
  const names = [...new Set(list.flatMap((one) => Object.keys(one.stages)))].filter((name) => !PEOPLE.has(name));
  const longest = Math.max(1, ...list.flatMap((one) => names.map((name) => one.stages[name] ?? 0)));
  const cell = (one, name, at) => number(one.stages[name], at === 0 && slower.includes(name));
  const number = (seconds, worse) => h("td", { class: "n" }, seconds === undefined || seconds === null ? "–" : [worse ? h("span", { class: "slower" }, "▲ ", h("span", { class: "unseen" }, "slower: "), duration(seconds)) : duration(seconds), h("span", { class: "lane small", "aria-hidden": "true" }, h("i", { "left%": 0, "width%": Math.max(1, (seconds / longest) * 100) }))]);
  return h("table", { class: "compared" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Stage"), list.map((one) => h("th", { scope: "col", class: "n" }, h("a", { href: `#/runs/${one.id}` }, moment(one.created_at)))))),
    h("tbody", {},
      h("tr", {}, h("th", { scope: "row" }, "Verdict"), list.map((one) => h("td", { class: "n" }, badge(one.verdict)))),
      h("tr", {}, h("th", { scope: "row" }, "In all"), list.map((one) => h("td", { class: "n" }, h("strong", {}, duration(one.seconds))))),
      h("tr", {}, h("th", { scope: "row" }, "Everything proved after"), list.map((one) => h("td", { class: "n" }, duration(one.proved_after)))),
      h("tr", {}, h("th", { scope: "row" }, "Rows"), list.map((one) => h("td", { class: "n" }, count(one.rows)))),
      h("tr", {}, h("th", { scope: "row" }, "Files"), list.map((one) => h("td", { class: "n" }, count(one.files)))),
      h("tr", {}, h("th", { scope: "row" }, "Bytes of rows and files"), list.map((one) => h("td", { class: "n" }, size(one.bytes)))),
      h("tr", {}, h("th", { scope: "row" }, "Findings"), list.map((one) => h("td", { class: "n" }, count(one.findings.length)))),
      names.map((name) => h("tr", {}, h("th", { scope: "row" }, stageWords(name)), list.map((one, n) => cell(one, name, n))))));
}
