metadata description = 'The virtual network: one subnet for the function app, one for private endpoints, outbound by a NAT gateway, private DNS zones.'

@description('Azure region.')
@minLength(3)
param location string

@description('Prefix of every name in this module.')
@minLength(2)
@maxLength(40)
param name string

@description('Address space of the virtual network, in CIDR form; must not overlap a network that is peered with it.')
@minLength(9)
@maxLength(18)
param addressPrefix string

@description('Make the private DNS zones here; false if the organisation has them in a hub and a policy registers endpoints.')
param createPrivateDnsZones bool

@description('Also make the zone of the Durable Task Scheduler.')
param withScheduler bool

@description('Tags of every resource.')
param tags object

// Order matters to the outputs below.
var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.vaultcore.azure.net'
  'privatelink.postgres.database.azure.com'
  'privatelink${environment().suffixes.sqlServerHostname}'
  'privatelink.azurewebsites.net'
  'privatelink.durabletask.io'
]
var zonesWanted = !createPrivateDnsZones ? 0 : withScheduler ? 8 : 7

resource functionsGuard 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-functions-nsg'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'deny-inbound'
        properties: {
          description: 'Nothing calls into the subnet: instances are reached through the front end of the platform.'
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource endpointsGuard 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-endpoints-nsg'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'allow-services'
        properties: {
          description: 'HTTPS, TDS (with the redirect range of Azure SQL) and PostgreSQL from the virtual network and its peers.'
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRanges: [
            '443'
            '1433'
            '5432'
            '11000-11999'
          ]
        }
      }
      {
        name: 'deny-everything-else'
        properties: {
          description: 'Private endpoints serve nothing else.'
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

// Entra, Azure Resource Manager, Application Insights and the Mendix APIs are public: the app reaches them from one
// address of its own, which a firewall can name.
resource outboundAddress 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: '${name}-outbound-ip'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
    publicIPAddressVersion: 'IPv4'
  }
}

resource outbound 'Microsoft.Network/natGateways@2024-05-01' = {
  name: '${name}-nat'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    idleTimeoutInMinutes: 10
    publicIpAddresses: [
      {
        id: outboundAddress.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: '${name}-vnet'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
    subnets: [
      {
        name: 'functions'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 25, 0)
          defaultOutboundAccess: false
          natGateway: {
            id: outbound.id
          }
          networkSecurityGroup: {
            id: functionsGuard.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 25, 1)
          defaultOutboundAccess: false
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
          networkSecurityGroup: {
            id: endpointsGuard.id
          }
        }
      }
    ]
  }

  resource functionsSubnet 'subnets' existing = {
    name: 'functions'
  }

  resource endpointsSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for index in range(0, zonesWanted): {
    name: zoneNames[index]
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for index in range(0, zonesWanted): {
    parent: zones[index]
    name: '${name}-link'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

@description('Subnet for the function app.')
output functionsSubnetId string = network::functionsSubnet.id

@description('Subnet for private endpoints.')
output endpointsSubnetId string = network::endpointsSubnet.id

@description('Outbound address of the app, for the firewalls of others.')
output outboundIpAddress string = outboundAddress.properties.ipAddress

@description('Zone for blobs; empty without zones, as are all that follow.')
output blobZoneId string = zonesWanted > 0 ? zones[0].id : ''

@description('Zone for queues.')
output queueZoneId string = zonesWanted > 0 ? zones[1].id : ''

@description('Zone for tables.')
output tableZoneId string = zonesWanted > 0 ? zones[2].id : ''

@description('Zone for Key Vault.')
output vaultZoneId string = zonesWanted > 0 ? zones[3].id : ''

@description('Zone for PostgreSQL.')
output postgresZoneId string = zonesWanted > 0 ? zones[4].id : ''

@description('Zone for Azure SQL.')
output sqlZoneId string = zonesWanted > 0 ? zones[5].id : ''

@description('Zone for the function app.')
output sitesZoneId string = zonesWanted > 0 ? zones[6].id : ''

@description('Zone for the Durable Task Scheduler.')
output schedulerZoneId string = zonesWanted > 7 ? zones[7].id : ''
