using './main.bicep'

// Small, cheap between runs, thrown away when the rehearsals are over.
param environmentName = 'rehearsal'
param stage = 'rehearsal'
param administratorName = readEnvironmentVariable('MXFERRY_ADMIN_NAME', 'mxferry-administrators')
param administratorObjectId = readEnvironmentVariable('MXFERRY_ADMIN_OBJECT_ID', '00000000-0000-0000-0000-000000000000')
param alwaysReadyInstances = 0
param postgresSkuName = 'Standard_B2s'
param postgresSkuTier = 'Burstable'
param postgresStorageSizeGB = 64
param sqlSkuName = 'GP_Gen5_2'
param sqlMaxSizeGB = 32
param stagingExpiryDays = 7
param targets = [
  {
    name: 'rehearsal'
    sql: {
      database: 'mendix'
      scaleUpTo: 'GP_Gen5_8'
    }
    files: {
      container: 'files'
    }
    throwAway: true
  }
]
param sources = empty(readEnvironmentVariable('MENDIX_PROJECT_ID', ''))
  ? []
  : [
      {
        name: 'mendix'
        mendixCloud: {
          projectId: readEnvironmentVariable('MENDIX_PROJECT_ID', '')
          environmentId: readEnvironmentVariable('MENDIX_ENVIRONMENT_ID', '')
          username: readEnvironmentVariable('MENDIX_USERNAME', '')
        }
      }
    ]
// Give the key for this one command, `MENDIX_API_KEY=… az deployment …`, or put it into the vault before the first run.
param secrets = empty(readEnvironmentVariable('MENDIX_API_KEY', ''))
  ? {}
  : {
      'source-mendix-api-key': readEnvironmentVariable('MENDIX_API_KEY', '')
    }
