using './main.bicep'

// Sized for a migration window; the target stays, everything else is torn down after the cut-over (docs/deploy.md).
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
param sqlScaleUpTo = 'GP_Gen5_12'
param sqlMaxSizeGB = 256
param sqlBackupRedundancy = 'Zone'
param sqlBackupRetentionDays = 14
param targetParallelChunks = 8
param targetParallelFiles = 8
param logRetentionDays = 90
param mendixProjectId = readEnvironmentVariable('MENDIX_PROJECT_ID', '')
param mendixEnvironmentId = readEnvironmentVariable('MENDIX_ENVIRONMENT_ID', '')
param mendixUsername = readEnvironmentVariable('MENDIX_USERNAME', '')
