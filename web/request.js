// A MigrationRequest as a form shows it: built from the form's fields, shown in them, changed by them.

// Only what was filled in; the JSON beside the form may hold more.
export function build(data) {
  const rehearsal = data.get("purpose") === "rehearsal";
  const request = { source: source(data), target: data.get("target") ?? "" };
  if (data.get("model")) request.expected_model_version = data.get("model").trim();
  if (data.get("smokeUrl")) request.smoke = { http: [{ name: "home page", url: data.get("smokeUrl"), ...(data.get("smokeText") ? { text: data.get("smokeText") } : {}) }] };
  if (data.get("startTarget") && data.get("startTarget") !== "no") request.start_target_app = data.get("startTarget");
  if (data.get("stopTarget")) request.stop_target_app = true;
  if (data.get("approval")) request.approval = true;
  if (data.get("windowMinutes")) request.options = { window_minutes: Number(data.get("windowMinutes")) };
  if (rehearsal) return request;
  if (data.get("drop")) Object.assign(request, { target_not_empty: "drop", confirm: data.get("confirm") ?? "" });
  if (data.get("end")) request.window = { ...(data.get("start") ? { start: zoned(data.get("start")) } : {}), end: zoned(data.get("end")), when_late: data.get("late") };
  if (data.get("snapshotAt")) request.snapshot_at = zoned(data.get("snapshotAt"));
  if (data.get("dryRun")) request.options = { ...request.options, dry_run: true };
  return request;
}

function source(data) {
  const kind = data.get("kind");
  if (kind === "url") return { kind, url: data.get("url") ?? "" };
  if (kind === "mendix-cloud") return { kind, profile: data.get("cloudProfile") ?? "", snapshot: data.get("snapshot") || "new", stop_app: data.get("stopApp") === "yes", ...(data.get("startAgain") ? { start_app_again: data.get("startAgain") } : {}) };
  return { kind, container: data.get("container") ?? "", blob: data.get("blob") ?? "", ...(data.get("blobProfile") ? { profile: data.get("blobProfile") } : {}) };
}

// Shows a request in the form; what the form has no field for stays in the JSON alone.
export function fill(form, request) {
  const { source = {}, options = {}, window = {} } = request;
  const [page = {}] = Array.isArray(request.smoke?.http) ? request.smoke.http : [];
  const cloud = source.kind === "mendix-cloud" ? source : {};
  const texts = {
    container: source.container, blob: source.blob, blobProfile: source.kind === "blob" ? source.profile : "", url: source.url,
    cloudProfile: cloud.profile, snapshot: cloud.snapshot ?? "new", startAgain: cloud.start_app_again, target: request.target, confirm: request.confirm,
    model: request.expected_model_version, startTarget: request.start_target_app ?? "no", windowMinutes: options.window_minutes,
    start: local(window.start), end: local(window.end), late: window.when_late ?? "warn", snapshotAt: local(request.snapshot_at), smokeUrl: page.url, smokeText: page.text,
  };
  const ticks = { stopApp: cloud.stop_app, drop: request.target_not_empty === "drop", stopTarget: request.stop_target_app, approval: request.approval, dryRun: options.dry_run };
  const radios = { kind: source.kind, purpose: options.purpose };
  for (const [name, value] of Object.entries(texts)) form.elements[name].value = value ?? "";
  for (const [name, value] of Object.entries(ticks)) for (const one of form.querySelectorAll(`[name=${name}]`)) one.checked = Boolean(value);
  for (const [name, value] of Object.entries(radios)) for (const one of form.querySelectorAll(`[name=${name}]`)) if (one.value === value) one.checked = true;
}

// `now` with the change from `before` to `after` done to it: what both have alike stays as it is in `now`.
export function patched(now, before, after) {
  if (same(before, after)) return now;
  if (!isObject(before) && !isObject(after)) return after;
  const list = Array.isArray(now ?? after ?? before);
  const made = isObject(now) ? { ...now } : {};
  for (const name of new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])) {
    const value = patched(made[name], before?.[name], after?.[name]);
    if (value === undefined) delete made[name];
    else made[name] = value;
  }
  if (after === undefined && !Object.keys(made).length) return undefined;
  return list ? Object.values(made) : made;
}

const isObject = (value) => typeof value === "object" && value !== null;
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// A datetime-local field has no zone; the person means their own.
const zoned = (local) => new Date(local).toISOString();

function local(iso) {
  const at = new Date(iso ?? NaN);
  return Number.isNaN(at.getTime()) ? "" : new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
