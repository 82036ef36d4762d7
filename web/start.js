// The form that starts a rehearsal or a migration. It only makes the request; the app judges it, and says what is wrong.

import { get, lost, post } from "./api.js";
import { h } from "./dom.js";
import { editor } from "./editor.js";
import { again, chosen, forget } from "./remedies.js";

// `from` is a run to start again: its request is shown, with the remedies that were chosen for its findings.
export async function start(place, signal, trouble, from) {
  document.title = "Start – mxferry";
  const [profiles, earlier] = await Promise.all([
    get("/api/profiles", signal), from ? get(`/api/migrations/${encodeURIComponent(from)}/request`, signal) : null,
  ]);
  if (signal.aborted) return;
  const form = fields(profiles), said = h("div", { role: "alert" });
  const request = editor(form, () => fit(form, profiles));
  form.append(request.element, said, h("p", {}, h("button", { type: "submit", class: "primary" }, "Start")));
  form.addEventListener("input", (event) => unmark(event.target));
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form, request, said, from); });
  request.fromFields();
  if (earlier) {
    const { purpose, request: wanted } = again(earlier, chosen(from));
    form.querySelector(`[name=purpose][value=${purpose}]`).checked = true;
    fit(form, profiles);
    request.show(wanted);
  }
  place.append(h("h1", {}, from ? "Start again" : "Start"), from ? h("p", { class: "soft" }, "As ", h("a", { href: `#/runs/${from}` }, from), " was started; change what shall be different.") : "", form);
}

function fields(profiles) {
  return h("form", { class: "start" },
    group("What", radio("purpose", "rehearsal", "Rehearsal", "On to a throw-away profile, whose contents are dropped without asking. Volatile tables stay empty, the columns that the request names are masked, everything is cleaned up.", true), radio("purpose", "cutover", "Migration", "The cut-over, or a trial on to an empty target.")),
    group("From", radio("kind", "blob", "A snapshot in a blob container", "", true), radio("kind", "url", "A snapshot at a URL"), radio("kind", "mendix-cloud", "Mendix Cloud"),
      only("blob", field("container", "Container", { required: true, placeholder: "uploads" }), field("blob", "Blob", { required: true, placeholder: "snapshot.tar.gz" }), choice("blobProfile", "Source profile", ["", ...profiles.sources.filter((one) => one.blob).map((one) => one.name)], "the staging account")),
      only("url", field("url", "https URL of the snapshot", { type: "url", required: true })),
      only("mendix-cloud", choice("cloudProfile", "Source profile", profiles.sources.filter((one) => one.mendix_cloud).map((one) => one.name)), field("snapshot", "Snapshot: new, latest, or an id", { value: "new" }), tick("stopApp", "Stop the source app before the snapshot is taken"),
        only("stopApp", choice("startAgain", "Start the source app again", [["", "as usual: a rehearsal at once, a cut-over if it does not end verified"], ["unless-verified", "if it does not end verified"], ["always", "as soon as the snapshot is taken"], ["never", "never; people do it"]])))),
    group("To", choice("target", "Target profile", profiles.targets.map((one) => one.name)),
      only("cutover", tick("drop", "Drop what the target holds"), only("drop", field("confirm", "The profile's name again, to confirm", { required: true }))),
      field("model", "Expected model version (optional)", {})),
    group("The app on the target", tick("stopTarget", "Stop it before the target is written"), choice("startTarget", "Start it when everything is verified", [["no", "no"], ["ask", "yes, after I have said so"], ["yes", "yes"]])),
    only("rehearsal", group("When", field("windowMinutes", "Agreed window of the cut-over, in minutes (optional)", { type: "number", min: 1, max: 10080 }),
      tick("approval", "Wait for an approval before the target is written, as the cut-over will"))),
    only("cutover", group("When", field("start", "Window opens (empty: now)", { type: "datetime-local" }), field("snapshotAt", "Agreed snapshot time (empty: as soon as possible)", { type: "datetime-local" }), field("end", "Window closes (empty: no window)", { type: "datetime-local" }), choice("late", "If it will be late", [["warn", "warn, and go on"], ["ask", "ask whether to go on"], ["stop", "stop before the target is written"]]),
      tick("approval", "Wait for an approval before the target is written", true), tick("dryRun", "Dry run: stop before the target is written"))),
    group("Smoke test (optional)", field("smokeUrl", "URL of the app", { type: "url" }), field("smokeText", "Text the page must contain", {})));
}

// Shows the fields that belong to what is chosen; hidden ones are disabled, so that they are neither sent nor validated.
function fit(form, profiles) {
  const purpose = form.querySelector("[name=purpose]:checked").value, kind = form.querySelector("[name=kind]:checked").value;
  const chosen = new Set([purpose, kind, ...["stopApp", "drop"].filter((name) => form.elements[name].checked)]);
  for (const part of form.querySelectorAll("[data-only]")) part.hidden = !chosen.has(part.dataset.only);
  for (const input of form.querySelectorAll("[data-only] input, [data-only] select")) input.disabled = input.closest("[data-only][hidden]") !== null;
  const cloud = form.elements.cloudProfile;
  form.elements.end.setCustomValidity(form.elements.start.value && !form.elements.end.value ? "A window needs its end too." : "");
  cloud.setCustomValidity(cloud.options.length ? "" : "No source profile in the settings has a Mendix Cloud environment.");
  const select = form.elements.target;
  const throwAway = new Map(profiles.targets.map((one) => [one.name, one.throw_away]));
  const fits = (name) => throwAway.get(name) === (purpose === "rehearsal");
  for (const option of select.options) option.disabled = purpose === "rehearsal" && !fits(option.value);
  const fitting = profiles.targets.filter((one) => fits(one.name));
  // A migration on to a throw-away profile is allowed, but nobody should come to it by switching from a rehearsal.
  if (form.purposeBefore !== purpose && !fits(select.value)) select.value = fitting[0]?.name ?? (purpose === "rehearsal" ? "" : select.value);
  form.purposeBefore = purpose;
  select.setCustomValidity(fitting.length || purpose !== "rehearsal" ? "" : "No target profile in the settings says THROW_AWAY.");
}

async function send(form, request, said, from) {
  const button = form.querySelector("[type=submit]");
  form.token ??= crypto.randomUUID(); // a doubled click, or a second try after a lost answer, starts only one
  button.disabled = true;
  said.replaceChildren();
  try {
    const path = new FormData(form).get("purpose") === "rehearsal" ? "/api/rehearsals" : "/api/migrations";
    const started = await post(path, request.request(), { "Idempotency-Key": form.token });
    if (from) forget(from);
    location.hash = `#/runs/${started.id}`;
  } catch (error) {
    if (!lost(error)) form.token = null;
    button.disabled = false;
    said.replaceChildren(problem(error));
    if (!mark(form, request.text, error.errors ?? [])) said.scrollIntoView({ block: "nearest" });
  }
}

function problem(error) {
  if (lost(error)) return h("div", { class: "notice tone-warning" }, h("strong", {}, "It may have been started."), h("p", {}, `${error.message} Press Start again: it is started only once.`));
  const list = error.errors ?? [];
  return h("div", { class: "notice tone-failed" }, h("strong", {}, "Not started."), list.length ? h("ul", {}, list.map((one) => h("li", {}, h("code", {}, one.field), ` ${one.message}`))) : h("p", {}, error.message), error.remedy ? h("p", { class: "soft" }, error.remedy) : null);
}

// Where a part of the request is on the form; what is not here is in the JSON.
const PLACES = {
  "source.blob.container": "container", "source.blob.blob": "blob", "source.blob.profile": "blobProfile", "source.url.url": "url",
  "source.mendix-cloud.profile": "cloudProfile", "source.mendix-cloud.snapshot": "snapshot", "target": "target", "confirm": "confirm",
  "expected_model_version": "model", "window": "end", "window.start": "start", "window.end": "end", "snapshot_at": "snapshotAt",
  "options.window_minutes": "windowMinutes", "smoke.http.0.url": "smokeUrl", "smoke.http.0.text": "smokeText",
};

// Says at the field what the app has against it, and leads to the first one; false if it is about none.
function mark(form, text, errors) {
  form.querySelectorAll("[aria-invalid]").forEach(unmark);
  const places = errors.map((one) => {
    const known = form.elements[PLACES[one.field]];
    const input = known && !known.disabled ? known : text;
    const id = `${input.id}-wrong`;
    const words = input === text ? `${one.field}: ${one.message}` : one.message;
    if (input.getAttribute("aria-invalid")) document.getElementById(id).append(h("br", {}), words);
    else input.after(h("p", { class: "wrong", id }, words));
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-errormessage", id);
    return input;
  });
  if (places.includes(text)) text.closest("details").open = true;
  places[0]?.focus();
  return places.length > 0;
}

function unmark(input) {
  if (!input.getAttribute("aria-invalid")) return;
  document.getElementById(`${input.id}-wrong`)?.remove();
  input.removeAttribute("aria-invalid");
  input.removeAttribute("aria-errormessage");
}

const group = (title, ...parts) => h("fieldset", {}, h("legend", {}, title), ...parts);
const only = (what, ...parts) => h("div", { "data-only": what }, ...parts);

function radio(name, value, words, more, checked = false) {
  return h("label", { class: "choice" }, h("input", { type: "radio", name, value, checked }), h("span", {}, words, more ? h("small", {}, more) : null));
}

function tick(name, words, checked = false) {
  return h("label", { class: "choice" }, h("input", { type: "checkbox", name, value: "yes", checked }), h("span", {}, words));
}

function field(name, words, attributes) {
  return h("p", { class: "field" }, h("label", { for: `f-${name}` }, words), h("input", { id: `f-${name}`, name, autocomplete: "off", spellcheck: "false", ...attributes }));
}

function choice(name, words, values, empty = "") {
  return h("p", { class: "field" }, h("label", { for: `f-${name}` }, words), h("select", { id: `f-${name}`, name }, values.map((one) => (Array.isArray(one) ? one : [one, one || empty])).map(([value, text]) => h("option", { value }, text))));
}
