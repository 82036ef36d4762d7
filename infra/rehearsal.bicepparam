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
param sqlScaleUpTo = 'GP_Gen5_8'
param sqlMaxSizeGB = 32
param stagingExpiryDays = 7
param mendixProjectId = readEnvironmentVariable('MENDIX_PROJECT_ID', '')
param mendixEnvironmentId = readEnvironmentVariable('MENDIX_ENVIRONMENT_ID', '')
param mendixUsername = readEnvironmentVariable('MENDIX_USERNAME', '')
