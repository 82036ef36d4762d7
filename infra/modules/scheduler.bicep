metadata description = 'Durable Task Scheduler with a task hub: the other durable back end.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the scheduler.')
@minLength(3)
@maxLength(64)
param name string

@description('Name of the task hub.')
@minLength(3)
@maxLength(64)
param taskHubName string

@description('SKU; Dedicated is billed by the hour, Consumption by the action.')
@allowed([
  'Consumption'
  'Dedicated'
])
param skuName string

@description('Private DNS zone; empty for none.')
@maxLength(512)
param privateDnsZoneId string

@description('Subnet for private endpoints; empty for none.')
@maxLength(512)
param endpointsSubnetId string

@description('Let the public network reach the scheduler (still with an Entra token only).')
param publicAccess bool

@description('Tags of every resource.')
param tags object

resource scheduler 'Microsoft.DurableTask/schedulers@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    ipAllowlist: publicAccess
      ? [
          '0.0.0.0/0'
        ]
      : []
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    sku: {
      name: skuName
    }
  }
}

resource taskHub 'Microsoft.DurableTask/schedulers/taskHubs@2026-02-01' = {
  parent: scheduler
  name: taskHubName
}

// Histories name runs, tables and blobs; they go after the time in which somebody may want to look.
resource retention 'Microsoft.DurableTask/schedulers/retentionPolicies@2026-02-01' = {
  parent: scheduler
  name: 'default'
  properties: {
    retentionPolicies: [
      {
        retentionPeriodInDays: 30
      }
    ]
  }
}

module endpoint 'endpoint.bicep' = if (!empty(endpointsSubnetId)) {
  name: 'scheduler-endpoint'
  params: {
    location: location
    name: '${name}-scheduler'
    resourceId: scheduler.id
    groupId: 'scheduler'
    subnetId: endpointsSubnetId
    privateDnsZoneId: privateDnsZoneId
    tags: tags
  }
}

@description('Name of the scheduler, for the role assignment.')
output name string = scheduler.name

@description('Endpoint, for the connection string (which holds no secret).')
output endpoint string = scheduler.properties.endpoint

@description('Name of the task hub.')
output taskHubName string = taskHub.name
