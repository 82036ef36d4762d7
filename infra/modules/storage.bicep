metadata description = 'A storage account that takes Entra tokens only, with its containers, life-cycle rule, endpoints and logs.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param name string

@description('Redundancy.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param skuName string

@description('Containers to make.')
@minLength(1)
@maxLength(10)
param containers string[]

@description('Blobs that begin with this (container name first) are deleted by the life-cycle rule; empty for no rule.')
@maxLength(200)
param expiringPrefix string = ''

@description('Days after which the life-cycle rule deletes them.')
@minValue(1)
@maxValue(367)
param expireAfterDays int = 14

@description('Days for which deleted blobs can be brought back; 0 where deleted must mean gone.')
@minValue(0)
@maxValue(365)
param softDeleteDays int

@description('Sub-resources that get a private endpoint; empty for none.')
@maxLength(3)
param endpointGroups ('blob' | 'queue' | 'table')[]

@description('Private DNS zones of these sub-resources, in their order; empty strings for none.')
@maxLength(3)
param endpointZoneIds string[]

@description('Subnet for private endpoints; empty for none.')
@maxLength(512)
param endpointsSubnetId string

@description('Let the public network reach the account (still with an Entra token only).')
param publicAccess bool

@description('Workspace for diagnostic logs.')
@minLength(20)
param workspaceId string

@description('Tags of every resource.')
param tags object

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: softDeleteDays > 0
      ? {
          enabled: true
          days: softDeleteDays
        }
      : {
          enabled: false
        }
  }
}

resource blobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for container in containers: {
    parent: blobs
    name: container
    properties: {
      publicAccess: 'None'
    }
  }
]

// A net under the clean-up stage: whatever a run left in staging is gone after this time.
resource lifeCycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = if (!empty(expiringPrefix)) {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-old-runs'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                expiringPrefix
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: expireAfterDays
                }
              }
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    blobs
  ]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

module endpoints 'endpoint.bicep' = [
  for (group, index) in (empty(endpointsSubnetId) ? [] : endpointGroups): {
    name: '${name}-${group}-endpoint'
    params: {
      location: location
      name: '${name}-${group}'
      resourceId: account.id
      groupId: group
      subnetId: endpointsSubnetId
      privateDnsZoneId: endpointZoneIds[index]
      tags: tags
    }
  }
]

@description('Name of the account.')
output name string = account.name

@description('Blob endpoint, with the slash at its end.')
output blobEndpoint string = account.properties.primaryEndpoints.blob

@description('Queue endpoint, with the slash at its end.')
output queueEndpoint string = account.properties.primaryEndpoints.queue

@description('Table endpoint, with the slash at its end.')
output tableEndpoint string = account.properties.primaryEndpoints.table
