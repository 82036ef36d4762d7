// Shows a document of a run inside the page. Fetched with the key, so that no key is ever part of an address.

import { Problem, text } from "./api.js";
import { h } from "./dom.js";
import { ticks } from "./ticks.js";

const FORMS = { report: ["text/html", "html"], runbook: ["text/html", "html"], schema: ["text/plain", "sql"] };

export async function viewer(place, signal, trouble, id, what) {
  document.title = `${what} of ${id} – mxferry`;
  const [type, ending] = FORMS[what];
  const path = `/api/migrations/${encodeURIComponent(id)}/${what}`;
  const found = await text(path, type).catch((error) => {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  });
  if (signal.aborted) return;
  const back = h("a", { href: `#/runs/${id}` }, "Back to the run");
  if (found === null) return place.replaceChildren(h("p", {}, `There is no ${what} of this run yet.`), h("p", {}, back));
  const paper = type === "text/html" ? framed(found, what, id) : h("pre", { class: "json", tabindex: 0, "aria-label": what }, found);
  const again = async () => {
    const at = window.scrollY;
    await viewer(place, signal, trouble, id, what);
    window.scrollTo(0, at);
  };
  const asking = what === "runbook" ? await ticks(paper.shadowRoot, path, signal, again) : null;
  if (signal.aborted) return;
  place.replaceChildren(
    h("p", { class: "bar-of-actions" }, back,
      h("button", { type: "button", onclick: () => save(found, type, `${what}-${id}.${ending}`) }, "Save as a file"),
      h("button", { type: "button", onclick: () => window.print() }, "Print")),
    ...(asking ? [asking] : []), paper);
}

// The document is parsed, never run: no script in it, and the page's CSP would stop one. Its styles live in a shadow root.
function framed(html, what, id) {
  const styles = [...html.matchAll(/<style>(.*?)<\/style>/gs)].map((found) => found[1]);
  const parsed = new DOMParser().parseFromString(html.replace(/<style>.*?<\/style>/gs, ""), "text/html");
  const host = h("article", { class: "paper", "aria-label": what });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles.join("\n").replaceAll(":root", ":host"));
  root.adoptedStyleSheets = [sheet];
  parsed.querySelectorAll("script, style, link, meta, iframe, object").forEach((one) => one.remove());
  for (const link of parsed.querySelectorAll("a[data-view]")) link.setAttribute("href", `#/runs/${id}/${link.dataset.view}`);
  root.append(document.adoptNode(parsed.body));
  return host;
}

function save(content, type, name) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
