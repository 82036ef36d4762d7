metadata description = 'Log Analytics workspace and Application Insights; telemetry is accepted from Entra identities only.'

@description('Azure region.')
@minLength(3)
param location string

@description('Prefix of every name in this module.')
@minLength(2)
@maxLength(40)
param name string

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param retentionInDays int

@description('Tags of every resource.')
param tags object

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${name}-logs'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionInDays
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    IngestionMode: 'LogAnalytics'
    DisableLocalAuth: true
  }
}

@description('Resource id of the workspace, for diagnostic settings, alerts and the workbook.')
output workspaceId string = workspace.id

@description('Name of the component, for the role assignment.')
output insightsName string = insights.name

@description('Connection string; with local authentication off it grants nothing.')
output insightsConnectionString string = insights.properties.ConnectionString
