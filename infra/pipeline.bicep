metadata name = 'mxferry pipeline identity'
metadata description = 'Run once by an owner: the identity that the GitHub workflow signs in as by OIDC, without any secret, and what it may do in this resource group.'

targetScope = 'resourceGroup'

@description('Azure region.')
@minLength(3)
param location string = resourceGroup().location

@description('Name of the identity.')
@minLength(3)
@maxLength(63)
param name string = 'mxferry-pipeline-id'

@description('GitHub repository, as owner/name.')
@minLength(3)
@maxLength(140)
param repository string

@description('GitHub environments whose jobs may sign in.')
@minLength(1)
@maxLength(10)
param githubEnvironments string[] = [
  'rehearsal'
  'production'
]

var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
var userAccessAdministrator = '18d7d88d-d35e-4fb5-a5c3-7773c20a72d9'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
}

// Entra takes one change of an identity's credentials at a time.
@batchSize(1)
resource credentials 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [
  for githubEnvironment in githubEnvironments: {
    parent: identity
    name: githubEnvironment
    properties: {
      issuer: 'https://token.actions.githubusercontent.com'
      subject: 'repo:${repository}:environment:${githubEnvironment}'
      audiences: [
        'api://AzureADTokenExchange'
      ]
    }
  }
]

// Needed by: .github/workflows/deploy.yml, `az deployment group create` with infra/main.bicep, and the publishing of the app.
resource deploy 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, identity.id, contributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

// Needed by: infra/modules/role*.bicep, which make role assignments and two custom roles.
resource assign 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, identity.id, userAccessAdministrator)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', userAccessAdministrator)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

@description('For the GitHub variable AZURE_CLIENT_ID.')
output AZURE_CLIENT_ID string = identity.properties.clientId

@description('For the GitHub variable AZURE_TENANT_ID.')
output AZURE_TENANT_ID string = tenant().tenantId

@description('For the GitHub variable AZURE_SUBSCRIPTION_ID.')
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
