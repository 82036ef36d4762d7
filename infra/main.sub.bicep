metadata name = 'mxferry in a resource group of its own'
metadata description = 'Makes the resource group and deploys main.bicep into it, with the parameters that most need; `azd up` uses this.'

targetScope = 'subscription'

@description('Azure region of everything.')
@minLength(3)
@metadata({
  azd: {
    type: 'location'
  }
})
param location string = deployment().location

@description('Name of this environment (azd environment).')
@minLength(2)
@maxLength(20)
param environmentName string

@description('Name of the resource group.')
@minLength(1)
@maxLength(90)
param resourceGroupName string = 'rg-mxferry-${environmentName}'

@description('What this environment is for.')
@allowed([
  'rehearsal'
  'production'
])
param stage string = 'rehearsal'

@description('True for a quick trial without a private network.')
param publicAccess bool = false

@description('Address ranges (CIDR) that may reach the API and the deployment site although access is private.')
@maxLength(50)
param allowedAddresses string[] = []

@description('Display name of the Entra group (or user) that administers the databases.')
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
])
param administratorType string = 'Group'

@description('Where orchestrations keep their state.')
@allowed([
  'AzureStorage'
  'DurableTaskScheduler'
])
param durableBackend string = 'AzureStorage'

@description('ProjectId of the Mendix app; empty: no Mendix Cloud source.')
@maxLength(64)
param mendixProjectId string = ''

@description('EnvironmentId whose backup is taken.')
@maxLength(64)
param mendixEnvironmentId string = ''

@description('Mendix user of the API key.')
@maxLength(256)
param mendixUsername string = ''

@secure()
@description('Mendix API key; empty: put it into the vault later.')
@maxLength(2048)
param mendixApiKey string = ''

@description('Mail addresses that are told about failures.')
@maxLength(20)
param alertMailAddresses string[] = []

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: resourceGroupName
  location: location
  tags: {
    'azd-env-name': environmentName
    application: 'mxferry'
    stage: stage
  }
}

module app 'main.bicep' = {
  name: 'mxferry'
  scope: group
  params: {
    location: location
    environmentName: environmentName
    stage: stage
    publicAccess: publicAccess
    allowedAddresses: allowedAddresses
    administratorName: administratorName
    administratorObjectId: administratorObjectId
    administratorType: administratorType
    durableBackend: durableBackend
    mendixProjectId: mendixProjectId
    mendixEnvironmentId: mendixEnvironmentId
    mendixUsername: mendixUsername
    mendixApiKey: mendixApiKey
    alertMailAddresses: alertMailAddresses
  }
}

@description('Resource group of everything.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Name of the function app.')
output AZURE_FUNCTION_NAME string = app.outputs.AZURE_FUNCTION_NAME

@description('Address of the API.')
output SERVICE_API_URI string = app.outputs.SERVICE_API_URI

@description('Key Vault, for `az keyvault secret set`.')
output AZURE_KEY_VAULT_NAME string = app.outputs.AZURE_KEY_VAULT_NAME

@description('To be run once in the target database by its Entra administrator.')
output SQL_CREATE_USER string = app.outputs.SQL_CREATE_USER

@description('Host of the target\'s SQL Server.')
output SQL_HOST string = app.outputs.SQL_HOST
