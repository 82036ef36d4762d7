// Chooses the view by the address (#/…), asks for the key when the app wants one, says what goes wrong.

import { Problem, key } from "./api.js";
import { h } from "./dom.js";
import { zone } from "./format.js";
import { rehearsals } from "./rehearsals.js";
import { run } from "./run.js";
import { runs } from "./runs.js";
import { start } from "./start.js";
import { viewer } from "./viewer.js";

const VIEWS = [
  [/^$/, runs],
  [/^new$/, start],
  [/^rehearsals$/, rehearsals],
  [/^runs\/([^/]+)$/, run],
  [/^runs\/([^/]+)\/again$/, start],
  [/^runs\/([^/]+)\/(report|runbook|schema)$/, viewer],
];

const main = document.getElementById("main");
let left = new AbortController();

function trouble(text) {
  const place = document.getElementById("trouble");
  place.hidden = !text;
  if (text && place.textContent !== text) place.textContent = text;
}

async function show(focus) {
  left.abort();
  left = new AbortController();
  const signal = left.signal;
  const path = location.hash.replace(/^#\/?/, "");
  trouble(null);
  document.getElementById("sign-out").hidden = !key.get();
  for (const link of document.querySelectorAll(".top nav a")) mark(link, link.hash.replace(/^#\/?/, "") === path);
  const [pattern, view] = VIEWS.find(([one]) => one.test(path)) ?? VIEWS[0];
  const place = h("div", {});
  const waiting = h("p", { class: "soft" }, "Loading…");
  const said = (text) => { if (!text) waiting.remove(); trouble(text); };
  main.replaceChildren(place, waiting);
  if (focus) main.focus();
  try {
    await view(place, signal, said, ...(pattern.exec(path)?.slice(1) ?? []).map(decodeURIComponent));
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) place.replaceChildren(await signIn());
    else place.replaceChildren(failure(error));
  } finally {
    waiting.remove();
  }
}

function mark(link, here) {
  if (here) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}

function failure(error) {
  return h("section", { class: "notice tone-failed" }, h("h1", {}, "That did not work"), h("p", {}, error.message),
    error.remedy ? h("p", { class: "soft" }, error.remedy) : null, h("p", {}, h("a", { href: "#/" }, "Back to the list")));
}

// Behind App Service's authentication a 401 may be its own: the sign-in has ended, and the key is as good as before.
async function signIn() {
  const session = await fetch("ui/session.json").then((answer) => answer.json()).catch(() => ({}));
  const tried = key.get() !== null;
  if (!session.entra) key.forget();
  const field = h("input", { id: "key", type: "password", autocomplete: "off", required: !(tried && session.entra), spellcheck: "false" });
  const go = (event) => {
    event.preventDefault();
    if (field.value.trim()) key.set(field.value.trim());
    show(true);
  };
  const words = session.entra ? "The app let nobody in: the sign-in has ended, or the key is wrong. Sign in again first; the key is kept." : "The app did not take that key.";
  setTimeout(() => field.focus());
  return h("form", { class: "sign-in", onsubmit: go },
    session.entra ? h("p", {}, h("a", { class: "button", href: "/.auth/login/aad?post_login_redirect_uri=/api/ui" }, tried ? "Sign in again with Microsoft Entra" : "Sign in with Microsoft Entra first")) : null,
    h("h1", {}, "Function key"),
    h("p", {}, "Starting, watching and approving migrations needs a function key of this app", session.entra ? ", beside the sign-in" : "", ". It stays in this browser tab and is forgotten when the tab is closed."),
    tried ? h("p", { class: "wrong", role: "alert" }, words) : null,
    h("label", { for: "key" }, tried && session.entra ? "Another key (empty: the same again)" : "Key"), field, h("button", { type: "submit", class: "primary" }, "Continue"),
    h("p", { class: "soft" }, "Find it in the portal under Functions → App keys, or with az functionapp keys list."));
}

// Views are chosen by the hash, so that the skip link must not change it: that would leave the view.
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
document.getElementById("sign-out").addEventListener("click", () => { key.forget(); location.hash = "#/"; show(true); });
document.getElementById("zone").textContent = zone() === "UTC" ? "All times are UTC." : `Times on this page are those of ${zone()}; reports and runbooks say UTC.`;
window.addEventListener("hashchange", () => show(true));
show(false);
