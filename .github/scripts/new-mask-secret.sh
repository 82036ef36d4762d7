#!/usr/bin/env bash
# Prints the parameter newMaskSecret of a deployment: false where the vault has the masks' secret already. A new one under a
# rehearsal that goes on would make its later stages compare with other masks. Needs: RESOURCE_GROUP; ENVIRONMENT (tag azd-env-name).
set -euo pipefail
vaults="$(az resource list --resource-group "$RESOURCE_GROUP" --resource-type Microsoft.KeyVault/vaults --output tsv \
  --query "[?tags.application=='mxferry' && tags.\"azd-env-name\"=='$ENVIRONMENT'].id")"
new=true
for vault in $vaults; do
  # The management side says that it is there; its value is not told. Only its absence makes a new one, no other failure.
  if told="$(az rest --method GET --url "$vault/secrets/mask?api-version=2024-11-01" --output none 2>&1)"; then
    new=false
  else
    case "$told" in
      *"Not Found"* | *NotFound*) ;;
      *) echo "expected to learn whether $vault has the masks' secret, found: $told" >&2; exit 1 ;;
    esac
  fi
done
echo "newMaskSecret=$new"
