metadata description = 'The function app: Flex Consumption, Linux, Python, one user-assigned identity, no key anywhere.'

@description('Azure region.')
@minLength(3)
param location string

@description('Name of the function app.')
@minLength(2)
@maxLength(60)
param name string

@description('Name of the azd service, by which `azd deploy` finds the app.')
@minLength(1)
@maxLength(60)
param serviceName string

@description('Python version.')
@allowed([
  '3.13'
])
param pythonVersion string

@description('Memory of an instance, MB. 512 is too little for two chunks at a time.')
@allowed([
  2048
  4096
])
param instanceMemoryMB int

@description('Most instances at a time.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int

@description('Instances kept ready for orchestrations and activities; 0 saves money and costs a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyDurable int

@description('Resource id of the app\'s identity.')
@minLength(20)
param identityId string

@description('Blob endpoint of the host account, with the slash at its end.')
@minLength(10)
param hostBlobEndpoint string

@description('Container of the host account for the deployment package.')
@minLength(3)
@maxLength(63)
param deploymentContainer string

@description('App settings, exactly those of docs/settings.md.')
param appSettings object

@description('Subnet for outbound traffic; empty for none.')
@maxLength(512)
param functionsSubnetId string

@description('Subnet for private endpoints; empty for none.')
@maxLength(512)
param endpointsSubnetId string

@description('Private DNS zone; empty for none.')
@maxLength(512)
param privateDnsZoneId string

@description('Let the whole public network reach the API (which still asks for a key or a token).')
param publicAccess bool

@description('Address ranges (CIDR) that may reach the API and the deployment site although access is private.')
@maxLength(50)
param allowedAddresses string[]

@description('Client id of the Entra application that callers of the API get tokens for; empty for function keys only.')
@maxLength(36)
param apiClientId string

@description('Workspace for diagnostic logs.')
@minLength(20)
param workspaceId string

@description('Tags of every resource.')
param tags object

var doorOpen = publicAccess || !empty(allowedAddresses)
var allowRules = [
  for (address, index) in allowedAddresses: {
    name: 'allow-${index}'
    action: 'Allow'
    priority: 100 + index
    ipAddress: address
  }
]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: '${name}-plan'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': serviceName
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: doorOpen ? 'Enabled' : 'Disabled'
    virtualNetworkSubnetId: empty(functionsSubnetId) ? null : functionsSubnetId
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictions: allowRules
      ipSecurityRestrictionsDefaultAction: publicAccess ? 'Allow' : 'Deny'
      scmIpSecurityRestrictions: allowRules
      scmIpSecurityRestrictionsDefaultAction: publicAccess ? 'Allow' : 'Deny'
      scmIpSecurityRestrictionsUseMain: false
    }
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostBlobEndpoint}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyDurable > 0
          ? [
              {
                name: 'durable'
                instanceCount: alwaysReadyDurable
              }
            ]
          : []
      }
    }
  }

  resource noFtp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource noBasicPublishing 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: appSettings
  }

  // With an Entra application, a caller needs its token beside the function key; health stays open for probes, and the
  // files of the page, which hold no data, so that a person can sign in from it (redirect URI of the application:
  // https://<app>/.auth/login/aad/callback, with ID tokens).
  resource authentication 'config' = if (!empty(apiClientId)) {
    name: 'authsettingsV2'
    properties: {
      platform: {
        enabled: true
      }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'Return401'
        excludedPaths: [
          '/api/health'
          '/api/ui'
          '/api/ui/api.js'
          '/api/ui/app.js'
          '/api/ui/dom.js'
          '/api/ui/editor.js'
          '/api/ui/format.js'
          '/api/ui/gate.js'
          '/api/ui/handover.js'
          '/api/ui/icon.svg'
          '/api/ui/index.html'
          '/api/ui/livetables.js'
          '/api/ui/messages.js'
          '/api/ui/plot.js'
          '/api/ui/rehearsals.js'
          '/api/ui/remedies.js'
          '/api/ui/request.js'
          '/api/ui/run.js'
          '/api/ui/runs.js'
          '/api/ui/session.json'
          '/api/ui/start.js'
          '/api/ui/style.css'
          '/api/ui/tables.js'
          '/api/ui/ticks.js'
          '/api/ui/timeline.js'
          '/api/ui/viewer.js'
        ]
      }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: apiClientId
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: {
            allowedAudiences: [
              apiClientId
              'api://${apiClientId}'
            ]
          }
        }
      }
      login: {
        tokenStore: {
          enabled: false
        }
      }
      httpSettings: {
        requireHttps: true
      }
    }
    dependsOn: [
      settings
    ]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

module endpoint 'endpoint.bicep' = if (!empty(endpointsSubnetId)) {
  name: 'functions-endpoint'
  params: {
    location: location
    name: '${name}-sites'
    resourceId: app.id
    groupId: 'sites'
    subnetId: endpointsSubnetId
    privateDnsZoneId: privateDnsZoneId
    tags: tags
  }
}

@description('Name of the app.')
output name string = app.name

@description('Address of the API.')
output uri string = 'https://${app.properties.defaultHostName}'
