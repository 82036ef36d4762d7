metadata description = 'Who is told when a migration fails, is late, is throttled, or leaves something behind.'

@description('Azure region.')
@minLength(3)
param location string

@description('Prefix of every name in this module.')
@minLength(2)
@maxLength(40)
param name string

@description('Workspace that the log queries read.')
@minLength(20)
param workspaceId string

@description('Mail addresses that are told; empty: alerts show in the portal only.')
@maxLength(20)
param mailAddresses string[]

@description('Tags of every resource.')
param tags object

var rules = [
  {
    key: 'migration-failed'
    title: 'A migration failed'
    text: 'A run ended without success. The report says where, why and what to do: GET /api/migrations/<run>.'
    severity: 1
    query: loadTextContent('../queries/migration-failed.kql')
    frequency: 'PT5M'
    window: 'PT15M'
    moreThan: 0
  }
  {
    key: 'window-ending'
    title: 'The migration window is about to end'
    text: 'A run is still at work less than half an hour before its window ends. Decide: go on, or abort and roll back.'
    severity: 1
    query: loadTextContent('../queries/window-ending.kql')
    frequency: 'PT5M'
    window: 'P1D'
    moreThan: 0
  }
  {
    key: 'staging-left'
    title: 'Staging was not cleaned'
    text: 'A run ended two hours ago and its copy of production data is still in staging. See docs/operations.md.'
    severity: 2
    query: loadTextContent('../queries/staging-left.kql')
    frequency: 'PT1H'
    window: 'P1D'
    moreThan: 0
  }
  {
    key: 'postgres-left-running'
    title: 'The temporary PostgreSQL server was left running'
    text: 'The server has run for four hours since the last activity. It costs money; stop it. See docs/operations.md.'
    severity: 3
    query: loadTextContent('../queries/postgres-left-running.kql')
    frequency: 'PT1H'
    window: 'P1D'
    moreThan: 4
  }
  {
    key: 'throttling'
    title: 'Services ask us to slow down'
    text: 'More than twenty activities were throttled within a quarter of an hour. Scale up, or lower the parallelism.'
    severity: 3
    query: loadTextContent('../queries/throttling.kql')
    frequency: 'PT5M'
    window: 'PT15M'
    moreThan: 20
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${name}-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'mxferry'
    enabled: true
    emailReceivers: [
      for (address, index) in mailAddresses: {
        name: 'mail-${index}'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${name}-${rule.key}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: rule.text
      severity: rule.severity
      enabled: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      autoMitigate: true
      // The tables exist only after the first telemetry has arrived.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: rule.moreThan
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          people.id
        ]
      }
    }
  }
]
