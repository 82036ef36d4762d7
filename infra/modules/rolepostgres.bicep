metadata description = 'Lets the app\'s identity start and stop the temporary PostgreSQL server, and nothing else about it.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the PostgreSQL flexible server.')
@minLength(3)
@maxLength(63)
param serverName string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = {
  name: serverName
}

// No built-in role is this small.
resource starter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'mxferry-postgres-starter')
  properties: {
    roleName: 'mxferry PostgreSQL starter (${uniqueString(resourceGroup().id)})'
    description: 'Start and stop a PostgreSQL flexible server, and see its state.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.DBforPostgreSQL/flexibleServers/read'
          'Microsoft.DBforPostgreSQL/flexibleServers/start/action'
          'Microsoft.DBforPostgreSQL/flexibleServers/stop/action'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

// Needed by: activities/environment.py (`start_postgres`, `stop_postgres`) through shared/azure/arm.py.
resource startStop 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: server
  name: guid(server.id, principalId, starter.name)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', starter.name)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
