metadata description = 'The target databases in Azure SQL: Entra tokens only, TLS 1.2, collation fixed at creation. READ_COMMITTED_SNAPSHOT is on in every new Azure SQL database; the app asserts it.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the server.')
@minLength(3)
@maxLength(63)
param serverName string

@description('Names of the databases.')
@minLength(1)
@maxLength(20)
param databaseNames string[]

@description('SKU of the database, such as GP_Gen5_2, GP_S_Gen5_2, BC_Gen5_4, HS_Gen5_4 or S3.')
@minLength(2)
@maxLength(40)
param skuName string

@description('Largest size of the data, GB; ignored by Hyperscale.')
@minValue(1)
@maxValue(4096)
param maxSizeGB int

@description('Collation of the database; cannot be changed later. Mendix runs on case-insensitive collations.')
@minLength(5)
@maxLength(128)
param collation string

@description('Redundancy of back-ups.')
@allowed([
  'Local'
  'Zone'
  'Geo'
  'GeoZone'
])
param backupRedundancy string

@description('Days for which a point in time can be restored.')
@minValue(1)
@maxValue(35)
param backupRetentionDays int

@description('Display name of the Entra administrator; a group is best.')
@minLength(1)
@maxLength(256)
param administratorName string

@description('Object id of a group or user, client id of an application.')
@minLength(36)
@maxLength(36)
param administratorSid string

@description('What the administrator is.')
@allowed([
  'Group'
  'User'
  'Application'
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

resource server 'Microsoft.Sql/servers@2023-08-01' = {
  name: serverName
  location: location
  tags: tags
  properties: {
    version: '12.0'
    minimalTlsVersion: '1.2'
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    restrictOutboundNetworkAccess: 'Enabled'
    administrators: {
      administratorType: 'ActiveDirectory'
      azureADOnlyAuthentication: true
      principalType: administratorType
      login: administratorName
      sid: administratorSid
      tenantId: tenant().tenantId
    }
  }
}

resource databases 'Microsoft.Sql/servers/databases@2023-08-01' = [
  for databaseName in databaseNames: {
    parent: server
    name: databaseName
    location: location
    tags: tags
    sku: {
      name: skuName
    }
    properties: {
      collation: collation
      catalogCollation: 'SQL_Latin1_General_CP1_CI_AS'
      maxSizeBytes: startsWith(skuName, 'HS_') ? null : maxSizeGB * 1073741824
      requestedBackupStorageRedundancy: backupRedundancy
    }
  }
]

resource backups 'Microsoft.Sql/servers/databases/backupShortTermRetentionPolicies@2023-08-01' = [
  for index in range(0, length(databaseNames)): {
    parent: databases[index]
    name: 'default'
    properties: {
      retentionDays: backupRetentionDays
    }
  }
]

// Who logged in, and who changed rights or tables: to the workspace, through the diagnostic settings of `master`.
resource audit 'Microsoft.Sql/servers/auditingSettings@2023-08-01' = {
  parent: server
  name: 'default'
  properties: {
    state: 'Enabled'
    isAzureMonitorTargetEnabled: true
    auditActionsAndGroups: [
      'SUCCESSFUL_DATABASE_AUTHENTICATION_GROUP'
      'FAILED_DATABASE_AUTHENTICATION_GROUP'
      'DATABASE_PRINCIPAL_CHANGE_GROUP'
      'DATABASE_ROLE_MEMBER_CHANGE_GROUP'
      'DATABASE_PERMISSION_CHANGE_GROUP'
      'SCHEMA_OBJECT_CHANGE_GROUP'
    ]
  }
}

// 0.0.0.0 is Azure's own mark for "services inside Azure"; without a virtual network the app has no address of its own.
resource azureServices 'Microsoft.Sql/servers/firewallRules@2023-08-01' = if (publicAccess) {
  parent: server
  name: 'azure-services'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
}

// Not Errors, Blocks and Deadlocks: their texts quote keys of rows and statements.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = [
  for index in range(0, length(databaseNames)): {
    scope: databases[index]
    name: 'to-workspace'
    properties: {
      workspaceId: workspaceId
      logs: [
        {
          category: 'Timeouts'
          enabled: true
        }
      ]
      metrics: [
        {
          category: 'Basic'
          enabled: true
        }
      ]
    }
  }
]

resource master 'Microsoft.Sql/servers/databases@2023-08-01' existing = {
  parent: server
  name: 'master'
}

resource auditLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: master
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'SQLSecurityAuditEvents'
        enabled: true
      }
    ]
  }
}

module endpoint 'endpoint.bicep' = if (!empty(endpointsSubnetId)) {
  name: 'sql-endpoint'
  params: {
    location: location
    name: '${serverName}-sql'
    resourceId: server.id
    groupId: 'sqlServer'
    subnetId: endpointsSubnetId
    privateDnsZoneId: privateDnsZoneId
    tags: tags
  }
}

@description('Host name, for TARGET__…__SQL__SERVER.')
output host string = server.properties.fullyQualifiedDomainName
