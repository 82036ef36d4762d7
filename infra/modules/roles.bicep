metadata description = 'What the app\'s identity may do inside this resource group, each with the code that needs it.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Storage account of the Functions host.')
@minLength(3)
@maxLength(24)
param hostAccountName string

@description('Storage account for staging and reports.')
@minLength(3)
@maxLength(24)
param stagingAccountName string

@description('Key Vault.')
@minLength(3)
@maxLength(24)
param vaultName string

@description('Application Insights component.')
@minLength(1)
@maxLength(255)
param insightsName string

var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource hostAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: hostAccountName
}

resource stagingAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: stagingAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

// Needed by: the Functions host that runs function_app.py (AzureWebJobsStorage__blobServiceUri): package, function keys, locks and
// durable leases. The host asks for Owner, because it makes its containers and sets their leases.
resource hostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostAccount
  name: guid(hostAccount.id, principalId, storageBlobDataOwner)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Needed by: the Functions host (AzureWebJobsStorage__queueServiceUri): control and work-item queues of the task hub,
// for every trigger that function_app.py registers.
resource hostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostAccount
  name: guid(hostAccount.id, principalId, storageQueueDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Needed by: the Functions host (AzureWebJobsStorage__tableServiceUri): instances and histories of the task hub, for
// every orchestration that orchestrators/ holds.
resource hostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: hostAccount
  name: guid(hostAccount.id, principalId, storageTableDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Needed by: shared/blobs/clients.py (`staging`, `reports`): snapshots, plans, run records, reports; and its
// `copy_source_url`, whose user delegation key this role includes at the scope of an account.
resource stagingBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: stagingAccount
  name: guid(stagingAccount.id, principalId, storageBlobDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Needed by: app settings that are Key Vault references (shared/settings.py: MendixCloud.api_key, SqlServer.password,
// Postgres.password); the platform reads them as this identity (`keyVaultReferenceIdentity`).
resource vaultSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, principalId, keyVaultSecretsUser)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Needed by: the Functions host (APPLICATIONINSIGHTS_AUTHENTICATION_STRING): the log lines of shared/events.py, which
// alerts and the workbook read.
resource insightsIngestion 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, principalId, monitoringMetricsPublisher)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
