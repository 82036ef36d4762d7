// Remedies that a person chooses for the findings of a run; kept in the tab until another run is started with them.

import { h } from "./dom.js";

const key = (id) => `mxferry-remedies-${id}`;
const of = (finding) => `${finding.code}:${finding.object}`;

export const chosen = (id) => JSON.parse(sessionStorage.getItem(key(id)) ?? "{}");
export const forget = (id) => sessionStorage.removeItem(key(id));

// The findings with a field each, and the way on. `show` makes the finding's own element.
export function choosing(id, findings, show) {
  const fields = findings.map((one, at) => field(id, one, at));
  const count = h("span", { class: "soft", role: "status" });
  const changed = () => {
    const kept = Object.fromEntries(fields.filter((one) => one.select.value).map((one) => [of(one.finding), one.select.value]));
    sessionStorage.setItem(key(id), JSON.stringify(kept));
    count.textContent = `${Object.keys(kept).length} of ${fields.length} chosen.`;
  };
  for (const one of fields) one.select.addEventListener("change", changed);
  changed();
  return [fields.map((one, at) => show(one.finding, h("p", { class: "choosing" }, one.label, one.select, alike(one, at, fields, changed)))),
    h("p", { class: "bar-of-actions" }, h("a", { class: "button primary", href: `#/runs/${id}/again` }, "Start again with remedies"), count)];
}

function field(id, finding, at) {
  const name = `remedy-${at}`;
  const select = h("select", { id: name }, h("option", { value: "" }, "none: it stops the next run too"), finding.choices.map((one) => h("option", { value: one }, one)));
  select.value = chosen(id)[of(finding)] ?? "";
  return { finding, select, label: h("label", { for: name }, "Remedy for the next run") };
}

// On the first finding of several with the same code: the choice for all of them.
function alike(one, at, fields, changed) {
  const others = fields.filter((other) => other.finding.code === one.finding.code);
  if (others.length < 2 || others[0] !== fields[at]) return null;
  return h("button", { type: "button", onclick: () => {
    for (const other of others) if ([...other.select.options].some((option) => option.value === one.select.value)) other.select.value = one.select.value;
    changed();
  } }, `The same for all ${others.length} of ${one.finding.code}`);
}

// The request of a run, ready to be started again: with the remedies, without what the way of starting adds by itself.
export function again(request, remedies) {
  const { purpose, ...options } = request.options ?? {};
  const made = { ...request };
  if (purpose === "rehearsal") { delete made.target_not_empty; delete made.confirm; }
  const wanted = Object.entries(remedies).filter(([, choice]) => choice !== "drop");
  if (wanted.length < Object.keys(remedies).length) made.target_not_empty = "drop"; // confirmed by whoever starts it
  if (wanted.length) options.remedies = { ...options.remedies, ...Object.fromEntries(wanted) };
  if (Object.keys(options).length) made.options = options;
  else delete made.options;
  return { purpose: purpose ?? "cutover", request: made };
}
