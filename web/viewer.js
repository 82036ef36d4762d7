// Shows a document of a run inside the page. Fetched with the key, so that no key is ever part of an address.

import { Problem, get, poll, text } from "./api.js";
import { h } from "./dom.js";
import { ticks } from "./ticks.js";

const FORMS = { report: ["text/html", "html"], runbook: ["text/html", "html"], schema: ["text/plain", "sql"] };
const STYLES = /<style>(.*?)<\/style>/gs;
const EVERY = 15_000; // a runbook is live; what is not there yet may come

export async function viewer(place, signal, trouble, id, what) {
  document.title = `${what} of ${id} – mxferry`;
  const [type, ending] = FORMS[what];
  const path = `/api/migrations/${encodeURIComponent(id)}/${what}`;
  const back = h("a", { href: `#/runs/${id}` }, "Back to the run");
  const signedIn = what === "runbook" ? (await get("/api/profiles", signal).catch(() => ({}))).signed_in_as : null;
  let found = null, paper = null;
  const look = async () => {
    const before = found;
    found = await text(path, type, signal).catch((error) => {
      if (error instanceof Problem && error.status === 404) return null;
      throw error;
    });
    if (signal.aborted) return false;
    if (found === null) place.replaceChildren(h("p", {}, `There is no ${what} of this run yet.`), h("p", {}, back));
    else if (paper === null) place.replaceChildren(actions(), ...(asking ? [asking.part] : []), paper = type === "text/html" ? framed(found, what, id, asking) : h("pre", { class: "json", tabindex: 0, "aria-label": what }, found));
    else if (found !== before) renewed(paper.shadowRoot, contents(found, id, asking));
    return found === null || what === "runbook";
  };
  const asking = what === "runbook" ? ticks(path, signedIn, look) : null;
  const actions = () => h("p", { class: "bar-of-actions" }, back,
    h("button", { type: "button", onclick: () => save(found, type, `${what}-${id}.${ending}`) }, "Save as a file"),
    h("button", { type: "button", onclick: () => window.print() }, "Print"));
  await poll(look, signal, trouble, EVERY);
}

// The document's styles live in a shadow root, its contents beside them.
function framed(html, what, id, asking) {
  const host = h("article", { class: "paper", "aria-label": what });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  const styles = [...html.matchAll(STYLES)].map((found) => found[1]);
  sheet.replaceSync(styles.join("\n").replaceAll(":root", ":host"));
  root.adoptedStyleSheets = [sheet];
  root.append(h("body", {}, contents(html, id, asking)));
  asking?.listen(root);
  return host;
}

// The document is parsed, never run: no script in it, and the page's CSP would stop one. Its `main` is none in this page.
function contents(html, id, asking) {
  const parsed = new DOMParser().parseFromString(html.replace(STYLES, ""), "text/html"); // the page's CSP lets no style be inline
  parsed.querySelectorAll("script, style, link, meta, iframe, object").forEach((one) => one.remove());
  for (const link of parsed.querySelectorAll("a[data-view]")) link.setAttribute("href", `#/runs/${id}/${link.dataset.view}`);
  const made = h("div", { class: "document" }, ...parsed.querySelector("main").childNodes);
  asking?.dress(made);
  return made;
}

// A step that is drawn anew, because somebody has ticked it, keeps the focus on its box.
function renewed(root, fresh) {
  const held = root.activeElement?.dataset.step;
  renew(root.querySelector(".document"), fresh);
  if (held && !root.activeElement) root.querySelector(`[data-step="${held}"]`)?.focus({ preventScroll: true });
}

// Changes only what differs, so that what somebody reads, marks or has the focus on stays where it is.
function renew(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const bare = (one) => one.cloneNode(false);
  const prose = [...old.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
  const alike = !prose && old.children.length > 0 && old.children.length === fresh.children.length && bare(old).isEqualNode(bare(fresh));
  if (!alike) return old.replaceWith(fresh);
  const wanted = [...fresh.children];
  [...old.children].forEach((one, at) => renew(one, wanted[at]));
}

function save(content, type, name) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
