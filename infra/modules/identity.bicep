metadata description = 'The one identity of the app: everything the app may do, it may do as this.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the identity; it is also its login name in PostgreSQL and Azure SQL.')
@minLength(3)
@maxLength(63)
param name string

@description('Tags of every resource.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('Resource id.')
output id string = identity.id

@description('Name, which is the login name.')
output name string = identity.name

@description('Object id, for role assignments.')
output principalId string = identity.properties.principalId

@description('Client (application) id, for AZURE_CLIENT_ID and for the SID of the database user.')
output clientId string = identity.properties.clientId
