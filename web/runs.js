// The list of migrations, newest first.

import { get, poll } from "./api.js";
import { draw, h } from "./dom.js";
import { OVER, ago, moment } from "./format.js";

export async function runs(place, signal, trouble) {
  document.title = "Migrations – mxferry";
  const list = h("div", {});
  place.append(h("h1", {}, "Migrations"), list);
  let pages = 1;
  const more = () => { pages += 1; };
  await poll(async () => {
    const items = [];
    let next = null;
    for (let page = 0; page < pages; page += 1) {
      const found = await get(`/api/migrations?limit=20${next ? `&before=${next}` : ""}`, signal);
      items.push(...found.items);
      next = found.next;
      if (!next) break;
    }
    draw(list, { items, next }, (seen) => table(seen, more));
    return true;
  }, signal, trouble, 4000);
}

function table({ items, next }, more) {
  if (!items.length) return [h("div", { class: "empty" }, h("p", {}, "No migration has been started yet."), h("p", {}, h("a", { href: "#/new", class: "button" }, "Start a rehearsal or a migration")))];
  return [
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Migrations" }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ...["Status", "Target", "Purpose", "Asked for", "Run"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, items.map(row)))),
    next ? h("button", { type: "button", onclick: (event) => { more(); event.target.disabled = true; event.target.textContent = "Loading…"; } }, "Show older ones") : null,
  ];
}

function row(item) {
  return h("tr", {},
    h("td", {}, badge(item.status)),
    h("th", { scope: "row" }, h("a", { href: `#/runs/${item.id}` }, item.target)),
    h("td", {}, item.purpose === "cutover" ? "cut-over" : item.purpose),
    h("td", { title: moment(item.created_at) }, OVER.has(item.status) ? moment(item.created_at) : ago(item.created_at)),
    h("td", { class: "id" }, item.id));
}

export function badge(status) {
  return h("span", { class: `mark tone-${status}` }, status);
}
