// The list of migrations, newest first.

import { get, poll } from "./api.js";
import { draw, h, put } from "./dom.js";
import { OVER, ago, moment } from "./format.js";

export async function runs(place, signal, trouble) {
  document.title = "Migrations – mxferry";
  const list = h("div", {}), older = h("button", { type: "button", hidden: true, onclick: () => more() }, "Show older ones");
  place.append(h("h1", {}, "Migrations"), list, older);
  let pages = 1;
  const look = async () => {
    const items = [], wanted = pages;
    let next = null;
    for (let page = 0; page < wanted; page += 1) {
      const found = await get(`/api/migrations?limit=20${next ? `&before=${next}` : ""}`, signal);
      items.push(...found.items);
      next = found.next;
      if (!next) break;
    }
    if (signal.aborted || wanted !== pages) return !signal.aborted; // more was asked for meanwhile
    draw(list, items, table);
    for (const cell of list.querySelectorAll("[data-since]")) put(cell, ago(cell.dataset.since));
    older.hidden = !next;
    put(older, "Show older ones");
    return true;
  };
  // The button keeps the focus while it waits; then it goes to the first of those that came.
  const more = async () => {
    const before = list.querySelectorAll("tbody a").length;
    pages += 1;
    put(older, "Loading…");
    await look().catch((error) => { pages -= 1; put(older, "Show older ones"); trouble(error.message); });
    list.querySelectorAll("tbody a")[before]?.focus();
  };
  await poll(look, signal, trouble, 4000);
}

function table(items) {
  if (!items.length) return [h("div", { class: "empty" }, h("p", {}, "No migration has been started yet."), h("p", {}, h("a", { href: "#/new", class: "button" }, "Start a rehearsal or a migration")))];
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Migrations" }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ...["Status", "Target", "Purpose", "Asked for", "Run"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, items.map(row))));
}

function row(item) {
  return h("tr", {},
    h("td", {}, badge(item.status), item.hub ? h("span", { class: "soft" }, ` in task hub ${item.hub}`) : null),
    h("th", { scope: "row" }, h("a", { href: `#/runs/${item.id}` }, item.target)),
    h("td", {}, item.purpose === "cutover" ? "cut-over" : item.purpose),
    h("td", { title: moment(item.created_at), "data-since": OVER.has(item.status) ? null : item.created_at }, OVER.has(item.status) ? moment(item.created_at) : ago(item.created_at)),
    h("td", { class: "id" }, item.id));
}

export function badge(status) {
  return h("span", { class: `mark tone-${status}` }, status);
}
