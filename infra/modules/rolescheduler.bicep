metadata description = 'Lets the app\'s identity use the task hubs of the Durable Task Scheduler.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the scheduler.')
@minLength(3)
@maxLength(64)
param schedulerName string

var durableTaskDataContributor = '0ad04412-c4d5-4796-b79c-f76d14c8d402'

resource scheduler 'Microsoft.DurableTask/schedulers@2026-02-01' existing = {
  name: schedulerName
}

// Needed by: the Functions host (DURABLE_TASK_SCHEDULER_CONNECTION_STRING): the task hub, in the place of queues and
// tables, for every orchestration that orchestrators/ holds.
resource schedulerData 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: scheduler
  name: guid(scheduler.id, principalId, durableTaskDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', durableTaskDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
