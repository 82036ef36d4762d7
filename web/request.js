// Builds a MigrationRequest from the form's data; what was left empty is left out.

export function build(data) {
  const rehearsal = data.get("purpose") === "rehearsal";
  const request = { source: source(data), target: data.get("target") ?? "" };
  if (data.get("model")) request.expected_model_version = data.get("model").trim();
  if (data.get("smokeUrl")) request.smoke = { http: [{ name: "home page", url: data.get("smokeUrl"), ...(data.get("smokeText") ? { text: data.get("smokeText") } : {}) }] };
  if (data.get("startTarget") && data.get("startTarget") !== "no") request.start_target_app = data.get("startTarget");
  if (data.get("stopTarget")) request.stop_target_app = true;
  if (rehearsal && data.get("windowMinutes")) request.options = { window_minutes: Number(data.get("windowMinutes")) };
  if (rehearsal) return request;
  if (data.get("drop")) Object.assign(request, { target_not_empty: "drop", confirm: data.get("confirm") ?? "" });
  if (data.get("approval")) request.approval = true;
  if (data.get("end")) request.window = { ...(data.get("start") ? { start: zoned(data.get("start")) } : {}), end: zoned(data.get("end")), when_late: data.get("late") };
  if (data.get("snapshotAt")) request.snapshot_at = zoned(data.get("snapshotAt"));
  if (data.get("dryRun")) request.options = { dry_run: true };
  return request;
}

function source(data) {
  const kind = data.get("kind");
  if (kind === "url") return { kind, url: data.get("url") ?? "" };
  if (kind === "mendix-cloud") return { kind, profile: data.get("cloudProfile") ?? "", snapshot: data.get("snapshot") || "new", stop_app: data.get("stopApp") === "yes", ...(data.get("startAgain") ? { start_app_again: data.get("startAgain") } : {}) };
  return { kind, container: data.get("container") ?? "", blob: data.get("blob") ?? "", ...(data.get("blobProfile") ? { profile: data.get("blobProfile") } : {}) };
}

// A datetime-local field has no zone; the person means their own.
const zoned = (local) => new Date(local).toISOString();
