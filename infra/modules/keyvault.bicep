metadata description = 'Key Vault for the few secrets that no identity can replace: API keys, passwords of existing servers, addresses of webhooks.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the vault.')
@minLength(3)
@maxLength(24)
param name string

@secure()
@description('Secrets by their names; those that are not given are put in later with `az keyvault secret set`.')
param secrets object

@secure()
@description('The key of a rehearsal\'s masks is drawn from it.')
@minLength(16)
param maskSecret string

@description('Put that secret into the vault; false where it is there and shall stay.')
param newMaskSecret bool

@description('Private DNS zone; empty for none.')
@maxLength(512)
param privateDnsZoneId string

@description('Subnet for private endpoints; empty for none.')
@maxLength(512)
param endpointsSubnetId string

@description('Let the public network reach the vault (still with an Entra token only).')
param publicAccess bool

@description('Workspace for diagnostic logs.')
@minLength(20)
param workspaceId string

@description('Tags of every resource.')
param tags object

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource values 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = [
  for secret in items(secrets): {
    parent: vault
    name: secret.key
    properties: {
      value: secret.value
    }
  }
]

resource mask 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (newMaskSecret) {
  parent: vault
  name: 'mask'
  properties: {
    value: maskSecret
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

module endpoint 'endpoint.bicep' = if (!empty(endpointsSubnetId)) {
  name: 'keyvault-endpoint'
  params: {
    location: location
    name: '${name}-vault'
    resourceId: vault.id
    groupId: 'vault'
    subnetId: endpointsSubnetId
    privateDnsZoneId: privateDnsZoneId
    tags: tags
  }
}

@description('Name of the vault.')
output name string = vault.name

@description('Address of the new masks\' secret in this very version: the app changes to it at once; empty if the one that is there stays.')
output maskUri string = newMaskSecret ? mask!.properties.secretUriWithVersion : ''
