metadata name = 'mxferry in a resource group of its own'
metadata description = 'Makes the resource group and deploys main.bicep into it, with the parameters that most need; `azd up` uses this.'

targetScope = 'subscription'

import { channel, sourceProfile, targetProfile } from 'profiles.bicep'

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

@description('Client id of the Entra application that callers of the API get tokens for; empty for function keys only.')
@maxLength(36)
param apiClientId string = ''

@description('Put the secret of the masks into the vault; false where an earlier deployment has.')
param newMaskSecret bool = true

@description('Where orchestrations keep their state.')
@allowed([
  'AzureStorage'
  'DurableTaskScheduler'
])
param durableBackend string = 'AzureStorage'

@description('Target environments. What exists already is named by its resource id; what is not named is made.')
@minLength(1)
@maxLength(20)
param targets targetProfile[] = [
  {
    name: stage
    sql: {
      database: 'mendix'
    }
    files: {
      container: 'files'
    }
    throwAway: stage == 'rehearsal'
  }
]

@description('Where snapshots come from.')
@maxLength(20)
param sources sourceProfile[] = []

@description('Who is told what happens to migrations.')
@maxLength(20)
param channels channel[] = []

@secure()
@description('Secrets by their names, such as `source-<profile>-api-key`; those that are not given are put into the vault later.')
param secrets object = {}

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
    apiClientId: apiClientId
    newMaskSecret: newMaskSecret
    durableBackend: durableBackend
    targets: targets
    sources: sources
    channels: channels
    secrets: secrets
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

@description('Name of the app\'s identity, which is its login in every database.')
output IDENTITY_NAME string = app.outputs.IDENTITY_NAME

@description('To be run once in a new target database by its Entra administrator, unless the app may do it itself (POST /api/setup).')
output SQL_CREATE_USER string = app.outputs.SQL_CREATE_USER

@description('Host of the new Azure SQL server; empty if none is made.')
output SQL_HOST string = app.outputs.SQL_HOST
