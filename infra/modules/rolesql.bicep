metadata description = 'Lets the app\'s identity change the size of the target database, and nothing else about it.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the SQL server.')
@minLength(1)
@maxLength(63)
param serverName string

@description('Name of the database.')
@minLength(1)
@maxLength(128)
param databaseName string

resource server 'Microsoft.Sql/servers@2023-08-01' existing = {
  name: serverName

  resource database 'databases' existing = {
    name: databaseName
  }
}

// SQL DB Contributor may also delete databases and change their security settings.
resource scaler 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'mxferry-sql-scaler')
  properties: {
    roleName: 'mxferry SQL scaler (${uniqueString(resourceGroup().id)})'
    description: 'Change the size of an Azure SQL database, and see its state.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.Sql/servers/databases/read'
          'Microsoft.Sql/servers/databases/write'
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

// Needed by: activities/environment.py (`scale_sql`) through shared/azure/arm.py.
resource scale 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: server::database
  name: guid(server::database.id, principalId, scaler.name)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', scaler.name)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
