metadata description = 'Lets the app\'s identity start and stop the target app (and set its variables, if asked for) on App Service.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the app.')
@minLength(1)
@maxLength(63)
param appName string

@description('The run also sets variables of the app (a rehearsal that starts it; target mode `runtime` with hand-over by adapter).')
param takesSettings bool

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: appName
}

var power = [
  'Microsoft.Web/sites/Read'
  'Microsoft.Web/sites/start/Action'
  'Microsoft.Web/sites/stop/Action'
]

// Needed by: shared/apps/azure.py (`configure`, `unconfigure`): app settings are read whole and written whole.
var settings = [
  'Microsoft.Web/sites/config/list/Action'
  'Microsoft.Web/sites/config/Read'
  'Microsoft.Web/sites/config/Write'
]

// The built-in roles that may do this may do much more: deploy code, delete the app.
resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, takesSettings ? 'mxferry-web-app-starter-and-setter' : 'mxferry-web-app-starter')
  properties: {
    roleName: 'mxferry web app starter${takesSettings ? ' and setter' : ''} (${uniqueString(resourceGroup().id)})'
    description: 'Start and stop a web app, and see its state.'
    type: 'CustomRole'
    permissions: [
      {
        actions: takesSettings ? concat(power, settings) : power
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

// Needed by: shared/apps/azure.py (`start`, `stop`, `state`), called by activities/application.py (`command_app`).
resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: app
  name: guid(app.id, principalId, role.name)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.name)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
