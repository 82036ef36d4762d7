metadata description = 'The temporary PostgreSQL server: it holds a run\'s restored snapshot, takes Entra tokens (and passwords only if asked to), and is stopped when idle.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the server.')
@minLength(3)
@maxLength(63)
param name string

@description('Major version; at least that of the source (Mendix Cloud: see the snapshot\'s dump).')
@allowed([
  '15'
  '16'
  '17'
  '18'
])
param version string

@description('Compute size; must belong to the tier.')
@minLength(5)
@maxLength(40)
param skuName string

@description('Compute tier.')
@allowed([
  'Burstable'
  'GeneralPurpose'
  'MemoryOptimized'
])
param skuTier string

@description('Storage at the start, GB; it grows by itself, and never shrinks.')
@allowed([
  32
  64
  128
  256
  512
  1024
  2048
  4096
  8192
  16384
])
param storageSizeGB int

@description('Days for which a point in time can be restored.')
@minValue(7)
@maxValue(35)
param backupRetentionDays int

@description('Let logins with a password in beside Entra tokens.')
@allowed([
  'Disabled'
  'Enabled'
])
param passwordAuth string

@secure()
@description('Password of the built-in administrator that a server with password logins must have; nobody uses it.')
@maxLength(128)
param unusedPassword string

@description('Name of the app\'s identity, which becomes its login.')
@minLength(3)
@maxLength(63)
param identityName string

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param identityPrincipalId string

@description('Display name of the Entra group (or user) that administers the server beside the app.')
@minLength(1)
@maxLength(256)
param administratorName string

@description('Object id of that group or user.')
@minLength(36)
@maxLength(36)
param administratorObjectId string

@description('What that object id is.')
@allowed([
  'Group'
  'User'
  'ServicePrincipal'
])
param administratorType string

@description('Private DNS zone; empty for none.')
@maxLength(512)
param privateDnsZoneId string

@description('Subnet for private endpoints; empty for none.')
@maxLength(512)
param endpointsSubnetId string

@description('Let Azure\'s public network reach the server (still with an Entra token only).')
param publicAccess bool

@description('Workspace for diagnostic logs.')
@minLength(20)
param workspaceId string

@description('Tags of every resource.')
param tags object

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: skuName
    tier: skuTier
  }
  properties: {
    createMode: 'Default'
    version: version
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: passwordAuth
      tenantId: tenant().tenantId
    }
    administratorLogin: passwordAuth == 'Enabled' ? 'mxferryunused' : null
    administratorLoginPassword: passwordAuth == 'Enabled' ? unusedPassword : null
    storage: {
      storageSizeGB: storageSizeGB
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: backupRetentionDays
      geoRedundantBackup: 'Disabled'
    }
    highAvailability: {
      mode: 'Disabled'
    }
    network: {
      publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    }
  }
}

// The server takes one change at a time, so its children follow one another.
resource identityAdministrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: identityPrincipalId
  properties: {
    principalName: identityName
    principalType: 'ServicePrincipal'
    tenantId: tenant().tenantId
  }
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: administratorObjectId
  properties: {
    principalName: administratorName
    principalType: administratorType
    tenantId: tenant().tenantId
  }
  dependsOn: [
    identityAdministrator
  ]
}

// 0.0.0.0 is Azure's own mark for "services inside Azure"; without a virtual network the app has no address of its own.
resource azureServices 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = if (publicAccess) {
  parent: server
  name: 'azure-services'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
  dependsOn: [
    administrator
  ]
}

// The log goes to the workspace, and an error's message, details and statement quote values of rows ("Key (email)=(…) already
// exists"). With `log` an error of a statement, which the client is told anyway, is not in it; logins, and what concerns
// the server itself, are. https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-MIN-MESSAGES
resource noErrorMessages 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = {
  parent: server
  name: 'log_min_messages'
  properties: {
    source: 'user-override'
    value: 'log'
  }
  dependsOn: [
    administrator
    azureServices
  ]
}

resource noErrorStatements 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = {
  parent: server
  name: 'log_min_error_statement'
  properties: {
    source: 'user-override'
    value: 'panic'
  }
  dependsOn: [
    noErrorMessages
  ]
}

module endpoint 'endpoint.bicep' = if (!empty(endpointsSubnetId)) {
  name: 'postgres-endpoint'
  params: {
    location: location
    name: '${name}-postgres'
    resourceId: server.id
    groupId: 'postgresqlServer'
    subnetId: endpointsSubnetId
    privateDnsZoneId: privateDnsZoneId
    tags: tags
  }
  dependsOn: [
    noErrorStatements
  ]
}

// The metric is_db_alive tells the alert `postgres-left-running`.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: server
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'PostgreSQLLogs'
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

@description('Name of the server, for the role that starts and stops it.')
output name string = server.name

@description('Resource id, for POSTGRES__RESOURCE_ID.')
output id string = server.id

@description('Host name, for POSTGRES__HOST.')
output host string = server.properties.fullyQualifiedDomainName
