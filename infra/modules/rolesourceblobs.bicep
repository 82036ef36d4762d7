metadata description = 'Lets the app\'s identity read snapshots from an existing storage account.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param accountName string

var storageBlobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

// Needed by: shared/blobs/clients.py for `SourceProfile.blob`: snapshots are read from this account, and its
// `copy_source_url` asks for a user delegation key, which this role includes at the scope of an account.
resource readSource 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, principalId, storageBlobDataReader)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
