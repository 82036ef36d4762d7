metadata description = 'A private endpoint with its entry in a private DNS zone.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the private endpoint.')
@minLength(2)
@maxLength(76)
param name string

@description('Resource id of what the endpoint leads to.')
@minLength(20)
param resourceId string

@description('Sub-resource (group id) of the endpoint.')
@allowed([
  'blob'
  'queue'
  'table'
  'vault'
  'postgresqlServer'
  'sqlServer'
  'sites'
  'scheduler'
])
param groupId string

@description('Resource id of the subnet for private endpoints.')
@minLength(20)
param subnetId string

@description('Resource id of the private DNS zone; empty if a policy of the organisation registers endpoints.')
@maxLength(512)
param privateDnsZoneId string

@description('Tags of every resource.')
param tags object

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    customNetworkInterfaceName: '${name}-nic'
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: resourceId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = if (!empty(privateDnsZoneId)) {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: privateDnsZoneId
        }
      }
    ]
  }
}
