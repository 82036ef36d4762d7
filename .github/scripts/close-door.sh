#!/usr/bin/env bash
# Closes the door that a deployment opened for its runner: the address ranges of the parameter file stay, every other one goes.
# Needs: RESOURCE_GROUP; ENVIRONMENT (tag azd-env-name); OWN (JSON list of the file's allowedAddresses); PUBLIC (its
# publicAccess); URI (where the app answers; empty if it is not known). The app is found by its tags, so that a deployment
# that failed half-way is closed too.
set -euo pipefail
[ "$PUBLIC" != true ] || { echo "publicAccess: there is no door to close"; exit 0; }

body="$(jq -c '
  [to_entries[] | {name: "allow-\(.key)", action: "Allow", priority: (100 + .key), ipAddress: .value}] as $rules
  | {properties: {
      publicNetworkAccess: (if $rules == [] then "Disabled" else "Enabled" end),
      ipSecurityRestrictions: $rules, ipSecurityRestrictionsDefaultAction: "Deny",
      scmIpSecurityRestrictions: $rules, scmIpSecurityRestrictionsDefaultAction: "Deny"}}' <<< "$OWN")"
apps="$(az resource list --resource-group "$RESOURCE_GROUP" --resource-type Microsoft.Web/sites --output tsv \
  --query "[?tags.application=='mxferry' && tags.\"azd-env-name\"=='$ENVIRONMENT'].id")"
[ -n "$apps" ] || echo "no app of $ENVIRONMENT in $RESOURCE_GROUP: there is no door to close"
for app in $apps; do
  # PATCH changes what it names; reading the site whole and writing it back would fail on what the plan does not take.
  az rest --method PATCH --url "$app/config/web?api-version=2024-04-01" --body "$body" --output none
  echo "closed: $app"
done

[ -n "$URI" ] || exit 0
for _ in $(seq "${TRIES:-20}"); do
  status="$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 20 "$URI/api/health" || true)"
  case "$status" in 403 | 000) exit 0 ;; esac
  sleep "${PAUSE:-15}"
done
echo "::error::expected the app to refuse this runner, found that it answers $status: look at the access restrictions of the app."
exit 1
