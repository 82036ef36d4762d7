// The request as JSON, which is what is sent. The form's fields write into it, and it writes into them.

import { h } from "./dom.js";
import { build, fill, patched } from "./request.js";

// What the form has no field for; each is a part of a request.
const MORE = [
  ["How the target is filled: create or postgres (as its kind wants), existing, runtime", '"options": {"target_mode": "existing"}'],
  ["Columns that a rehearsal masks: hash, email, name or blank", '"options": {"masks": [{"table": "crm$customer", "column": "email", "how": "email"}]}'],
  ["Remedies of findings, for all of a code or for one object", '"options": {"remedies": {"UNIQUE_NULLS": "filtered-index", "TOO_LONG_UTF16:crm$customer.name": "truncate"}}'],
  ["Levels of verification", '"options": {"verify": ["counts", "aggregates", "hash", "sample"]}'],
  ["Who the runbook names", '"contacts": [{"role": "migration lead", "name": "Ada Fischer", "reach": "+31 20 555 0100"}]'],
  ["Smoke checks, tried again for as long as the app may take to start", '"smoke": {"http": [{"name": "home", "url": "https://app.example.org/", "text": "<title>"}], "sql": [{"name": "users", "table": "System.User", "at_least": 10}], "documents": [{"name": "an invoice", "url": "https://app.example.org/file?guid=1", "blob": "<uuid>", "signed_in": true}], "runtime": true, "retry_seconds": 600}'],
];

// `fit` shows the fields that belong to what is chosen. The editor's parts are `element`, `text` (its field) and `request()`.
export function editor(form, fit) {
  const text = h("textarea", { id: "f-json", rows: 18, spellcheck: "false", autocomplete: "off", "aria-describedby": "f-json-about" });
  const said = h("p", { class: "wrong", role: "alert" });
  let request = {}, before = {};
  const read = () => { fit(); return build(new FormData(form)); };
  const write = () => { text.value = JSON.stringify(request, null, 2); };
  const broken = (words) => { text.setCustomValidity(words); said.textContent = words; };
  const fromFields = () => {
    const after = read();
    if (!text.validity.valid) return; // the text is being mended: what is typed there is not to be lost
    request = patched(request, before, after);
    before = after;
    write();
  };
  const show = (wanted) => { request = wanted; fill(form, request); before = read(); };
  const fromText = () => {
    try {
      const found = JSON.parse(text.value);
      if (typeof found !== "object" || found === null || Array.isArray(found)) throw new SyntaxError("no object");
      broken("");
      show(found);
    } catch (error) {
      broken(`This is no request: ${error.message}`);
    }
  };
  // A field that a browser or its extension fills in may only tell of a change.
  for (const event of ["input", "change"]) form.addEventListener(event, ({ target }) => (target === text ? fromText() : fromFields()));
  const element = h("details", { class: "editor" }, h("summary", {}, "The request as JSON"),
    h("p", { id: "f-json-about", class: "soft" }, "This is what is sent. The fields above write into it; it can be edited too, and holds what has no field:"),
    h("dl", { class: "more" }, MORE.map(([words, part]) => [h("dt", {}, words), h("dd", {}, h("code", {}, part))])),
    h("label", { for: "f-json" }, "Request"), text, said);
  return { element, text, request: () => request, fromFields, show: (wanted) => { show(wanted); write(); } };
}
