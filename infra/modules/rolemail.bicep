metadata description = 'Lets the app\'s identity send mail by Communication Services.'

@description('Object id of the app\'s identity.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Name of the Communication Services resource.')
@minLength(1)
@maxLength(63)
param serviceName string

resource service 'Microsoft.Communication/communicationServices@2023-04-01' existing = {
  name: serviceName
}

// Sending is a write for this service: https://learn.microsoft.com/azure/communication-services/quickstarts/email/send-email-smtp/smtp-authentication
// names these three. The built-in role (Communication and Email Service Owner) may also list keys and delete.
resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'mxferry-mail-sender')
  properties: {
    roleName: 'mxferry mail sender (${uniqueString(resourceGroup().id)})'
    description: 'Send mail by a Communication Services resource.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.Communication/CommunicationServices/Read'
          'Microsoft.Communication/CommunicationServices/Write'
          'Microsoft.Communication/EmailServices/write'
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

// Needed by: shared/communication/channels.py (`_mail`), which posts to `emails:send`.
resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: service
  name: guid(service.id, principalId, role.name)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.name)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
