using './main.bicep'

// Sized for a migration window; the targets stay, everything else is torn down after the cut-over (docs/deploy.md).
param environmentName = 'production'
param stage = 'production'
param administratorName = readEnvironmentVariable('MXFERRY_ADMIN_NAME', 'mxferry-administrators')
param administratorObjectId = readEnvironmentVariable('MXFERRY_ADMIN_OBJECT_ID', '00000000-0000-0000-0000-000000000000')
param alwaysReadyInstances = 2
param instanceMemoryMB = 4096
param stagingRedundancy = 'Standard_ZRS'
param postgresSkuName = 'Standard_D4ds_v5'
param postgresSkuTier = 'GeneralPurpose'
param postgresStorageSizeGB = 256
param sqlSkuName = 'GP_Gen5_4'
param sqlMaxSizeGB = 256
param sqlBackupRedundancy = 'Zone'
param sqlBackupRetentionDays = 14
param logRetentionDays = 90
// The last rehearsals go on to a throw-away target of the same sizes, beside the one that stays.
param targets = [
  {
    name: 'production'
    sql: {
      database: 'mendix'
      scaleUpTo: 'GP_Gen5_12'
    }
    files: {
      container: 'files'
    }
    parallelChunks: 8
    parallelFiles: 8
  }
  {
    name: 'dress-rehearsal'
    sql: {
      database: 'mendix-rehearsal'
      scaleUpTo: 'GP_Gen5_12'
    }
    files: {
      container: 'files-rehearsal'
    }
    throwAway: true
    parallelChunks: 8
    parallelFiles: 8
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
