// The settings by which a Mendix runtime copies its source. The password comes after a click, and is kept nowhere.

import { Problem, get, post } from "./api.js";
import { h } from "./dom.js";
import { moment } from "./format.js";

const FORMS = [
  ["environment", "Environment variables"],
  ["kubernetes", "Kubernetes: a Deployment"],
  ["mendix_operator", "Kubernetes: a MendixApp"],
  ["azure", "Azure: App Service, Container App"],
  ["console", "Mendix console: custom runtime settings"],
  ["removal", "Afterwards: taking them away"],
];

// `who` gives the name that stands in the record of who asked; null when the person has yet to give one.
export function sourceSettings(path, who) {
  const said = h("p", { role: "alert", class: "wrong" });
  const about = h("p", { class: "soft" });
  const texts = FORMS.map(([name, title]) => ({ name, title, code: h("code", {}) }));
  const show = (found) => {
    for (const one of texts) one.code.textContent = found[one.name];
    about.textContent = found.password_included
      ? `With a password, shown this once; it works until ${moment(found.valid_until)}. Asking again makes another, and ends this one.`
      : "Without the password. Who asks for one, and when, is in the report.";
  };
  const fail = (error) => { said.textContent = `${error.message} ${error instanceof Problem ? error.remedy : ""}`; };
  const ask = h("button", { type: "button", onclick: async () => {
    const by = who();
    if (!by) return;
    ask.disabled = true;
    try { show(await post(`${path}/source-database`, { by })); said.textContent = ""; } catch (error) { fail(error); }
    ask.disabled = false;
  } }, "Make a password and show it");
  get(`${path}/source-database`).then(show, fail);
  return h("div", { class: "source-settings" }, h("h3", {}, "Settings for the app"), about, h("p", {}, ask), said, texts.map(form));
}

function form({ title, code }) {
  const copied = h("span", { role: "status", class: "soft" });
  const copy = h("button", { type: "button", onclick: async () => {
    try { await navigator.clipboard.writeText(code.textContent); copied.textContent = " Copied."; }
    catch { getSelection().selectAllChildren(code); copied.textContent = " Selected; copy it with the keyboard."; }
  } }, "Copy");
  return h("details", {}, h("summary", {}, title), h("pre", { class: "json", tabindex: "0", "aria-label": title }, code), h("p", {}, copy, copied));
}
