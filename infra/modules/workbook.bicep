metadata description = 'A workbook: runs, stages, throughput, refusals and throttling.'

@description('Azure region.')
@minLength(3)
param location string

@description('Title of the workbook.')
@minLength(3)
@maxLength(100)
param title string

@description('Workspace that the workbook reads.')
@minLength(20)
param workspaceId string

@description('Tags of every resource.')
param tags object

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'mxferry-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: title
    category: 'workbook'
    sourceId: workspaceId
    version: '1.0'
    serializedData: loadTextContent('../workbook.json')
  }
}
