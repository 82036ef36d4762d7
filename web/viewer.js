// Shows the report or the runbook inside the page. Fetched with the key, so that no key is ever part of an address.

import { Problem, text } from "./api.js";
import { h } from "./dom.js";

export async function viewer(place, signal, trouble, id, what) {
  document.title = `${what} of ${id} – mxferry`;
  const html = await text(`/api/migrations/${encodeURIComponent(id)}/${what}`, "text/html").catch((error) => {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  });
  if (signal.aborted) return;
  const back = h("a", { href: `#/runs/${id}` }, "Back to the run");
  if (html === null) return place.append(h("p", {}, `There is no ${what} of this run yet.`), h("p", {}, back));
  place.append(
    h("p", { class: "bar-of-actions" }, back,
      h("button", { type: "button", onclick: () => save(html, `${what}-${id}.html`) }, "Save as a file"),
      h("button", { type: "button", onclick: () => window.print() }, "Print")),
    framed(html, what));
}

// The document is parsed, never run: no script in it, and the page's CSP would stop one. Its styles live in a shadow root.
function framed(html, what) {
  const styles = [...html.matchAll(/<style>(.*?)<\/style>/gs)].map((found) => found[1]);
  const parsed = new DOMParser().parseFromString(html.replace(/<style>.*?<\/style>/gs, ""), "text/html");
  const host = h("article", { class: "paper", "aria-label": what });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles.join("\n").replaceAll(":root", ":host"));
  root.adoptedStyleSheets = [sheet];
  parsed.querySelectorAll("script, style, link, meta, iframe, object").forEach((one) => one.remove());
  root.append(document.adoptNode(parsed.body));
  return host;
}

function save(html, name) {
  const address = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
