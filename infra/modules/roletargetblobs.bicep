metadata description = 'Lets the app\'s identity write the target container, in whichever resource group its account lies.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Container of the target app\'s files.')
@minLength(3)
@maxLength(63)
param containerName string

var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource container 'containers' existing = {
      name: containerName
    }
  }
}

// Needed by: shared/blobs/clients.py for `TargetProfile.blob`: the files of the target app are written to this container
// (copy_files), compared (verify_files) and reconciled with the rows (reconcile_files). This container only.
resource writeTarget 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account::blobs::container
  name: guid(account::blobs::container.id, principalId, storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
