metadata name = 'mxferry'
metadata description = 'Everything that brings Mendix Cloud environments into this subscription: private and without passwords unless asked otherwise.'

targetScope = 'resourceGroup'

// --- what and where ------------------------------------------------------------------------------------------------

@description('Azure region of everything.')
@minLength(3)
param location string = resourceGroup().location

@description('First part of every name; lower-case letters and digits.')
@minLength(2)
@maxLength(6)
param namePrefix string = 'mxf'

@description('Name of this environment (azd environment); part of names and tags.')
@minLength(2)
@maxLength(20)
param environmentName string

@description('What this environment is for. A rehearsal target may be dropped without a confirmation.')
@allowed([
  'rehearsal'
  'production'
])
param stage string = 'rehearsal'

@description('True for a quick trial: no virtual network, no private endpoints; Entra tokens are still required everywhere.')
param publicAccess bool = false

@description('Address ranges (CIDR) that may reach the API and the deployment site although access is private.')
@maxLength(50)
param allowedAddresses string[] = []

@description('Address space of the virtual network; must not overlap a network that is peered with it.')
@minLength(9)
@maxLength(18)
param networkAddressPrefix string = '10.60.0.0/23'

@description('Make the private DNS zones; false if the organisation has them in a hub.')
param createPrivateDnsZones bool = true

@description('Display name of the Entra group (or user) that administers the databases.')
@minLength(1)
@maxLength(256)
param administratorName string

@description('Object id of that group or user.')
@minLength(36)
@maxLength(36)
param administratorObjectId string

@description('What that object id is.')
@allowed([
  'Group'
  'User'
])
param administratorType string = 'Group'

// --- the function app ----------------------------------------------------------------------------------------------

@description('Memory of an instance, MB.')
@allowed([
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Most instances at a time.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances kept ready; 0 saves money between runs, 1 or more spares a migration window the cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Threads of the Python worker on an instance; above the limit of activities at a time in host.json.')
@minValue(10)
@maxValue(32)
param workerThreads int = 16

@description('Where orchestrations keep their state.')
@allowed([
  'AzureStorage'
  'DurableTaskScheduler'
])
param durableBackend string = 'AzureStorage'

@description('SKU of the Durable Task Scheduler, if that is the back end.')
@allowed([
  'Consumption'
  'Dedicated'
])
param schedulerSku string = 'Consumption'

@description('Name of the task hub. Another name starts with empty histories, beside the old ones.')
@minLength(3)
@maxLength(45)
param taskHubName string = 'mxferry'

@description('Client id of the Entra application that callers of the API get tokens for; empty for function keys only.')
@maxLength(36)
param apiClientId string = ''

// --- staging and the target's files ----------------------------------------------------------------------------------

@description('Redundancy of staging and host accounts.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param stagingRedundancy string = 'Standard_LRS'

@description('Days after which runs that were not cleaned up are deleted from staging.')
@minValue(1)
@maxValue(365)
param stagingExpiryDays int = 14

@description('Days for which a run that asks to be kept stays in staging.')
@minValue(0)
@maxValue(365)
param keepDays int = 7

@description('Container of staging.')
@minLength(3)
@maxLength(63)
param stagingContainer string = 'mxferry-staging'

@description('Container of run records and reports.')
@minLength(3)
@maxLength(63)
param reportsContainer string = 'mxferry-reports'

@description('Make a storage account for the target app\'s files, or use an existing one.')
@allowed([
  'new'
  'existing'
])
param filesMode string = 'new'

@description('Redundancy of a new account for the files.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param filesRedundancy string = 'Standard_ZRS'

@description('Container of the target app\'s files.')
@minLength(3)
@maxLength(63)
param filesContainer string = 'files'

@description('Existing account for the files.')
@maxLength(24)
param existingFilesAccountName string = ''

@description('Resource group of that account.')
@minLength(1)
@maxLength(90)
param existingFilesResourceGroup string = resourceGroup().name

// --- the temporary PostgreSQL server ---------------------------------------------------------------------------------

@description('Make the temporary PostgreSQL server, or use an existing one.')
@allowed([
  'new'
  'existing'
])
param postgresMode string = 'new'

@description('Major version of a new server; at least that of the source.')
@allowed([
  '15'
  '16'
  '17'
  '18'
])
param postgresVersion string = '17'

@description('Compute size of a new server; must belong to the tier.')
@minLength(5)
@maxLength(40)
param postgresSkuName string = 'Standard_B2s'

@description('Compute tier of a new server.')
@allowed([
  'Burstable'
  'GeneralPurpose'
  'MemoryOptimized'
])
param postgresSkuTier string = 'Burstable'

@description('Storage of a new server at the start, GB; it grows by itself.')
@allowed([
  32
  64
  128
  256
  512
  1024
  2048
  4096
  8192
  16384
])
param postgresStorageSizeGB int = 64

@description('Stop the server after the last run that needs it.')
param postgresStopWhenIdle bool = true

@description('Host name of an existing server.')
@maxLength(253)
param existingPostgresHost string = ''

@description('Login on an existing server; empty: the name of the app\'s identity.')
@maxLength(63)
param existingPostgresUser string = ''

@description('The existing server wants a password (Key Vault secret `postgres-password`) in the place of an Entra token.')
param existingPostgresUsesPassword bool = false

@description('Azure name of an existing flexible server, for start and stop and for a private endpoint; empty for neither.')
@maxLength(63)
param existingPostgresServerName string = ''

@description('Resource group of that server.')
@minLength(1)
@maxLength(90)
param existingPostgresResourceGroup string = resourceGroup().name

// --- the target's database -------------------------------------------------------------------------------------------

@description('Name of the target profile, as requests say it: lower-case letters, digits and hyphens.')
@minLength(1)
@maxLength(40)
param targetProfile string = stage

@description('Database of the target app.')
@allowed([
  'sqlserver'
  'postgres'
])
param targetKind string = 'sqlserver'

@description('The target may be dropped by a rehearsal without a confirmation.')
param targetThrowAway bool = stage == 'rehearsal'

@description('Chunks of rows loaded at the same time.')
@minValue(1)
@maxValue(64)
param targetParallelChunks int = 4

@description('Slices of files copied at the same time.')
@minValue(1)
@maxValue(64)
param targetParallelFiles int = 4

@description('Size of a chunk of rows in PostgreSQL, bytes.')
@minValue(65536)
@maxValue(1073741824)
param copyChunkBytes int = 67108864

@description('A load without progress is ended after this many seconds.')
@minValue(30)
@maxValue(1800)
param copyStallSeconds int = 180

@description('Size of the part of a table that one activity verifies, bytes.')
@minValue(65536)
@maxValue(4294967296)
param verifySliceBytes int = 536870912

@description('Keys after the load, or before it.')
@allowed([
  'heap-first'
  'keys-first'
])
param targetLoad string = 'heap-first'

@description('Make an Azure SQL database, or use an existing one.')
@allowed([
  'new'
  'existing'
])
param sqlMode string = 'new'

@description('Name of the target database.')
@minLength(1)
@maxLength(128)
param sqlDatabaseName string = 'mendix'

@description('SKU of a new database; a deployment sets the database back to it.')
@minLength(2)
@maxLength(40)
param sqlSkuName string = 'GP_Gen5_2'

@description('SKU for the time of the load, such as GP_Gen5_8; empty: never scaled.')
@maxLength(40)
param sqlScaleUpTo string = ''

@description('Largest size of a new database, GB.')
@minValue(1)
@maxValue(4096)
param sqlMaxSizeGB int = 32

@description('Collation of a new database; cannot be changed later.')
@minLength(5)
@maxLength(128)
param sqlCollation string = 'SQL_Latin1_General_CP1_CI_AS'

@description('Redundancy of the new database\'s back-ups.')
@allowed([
  'Local'
  'Zone'
  'Geo'
  'GeoZone'
])
param sqlBackupRedundancy string = 'Local'

@description('Days for which a point in time of the new database can be restored.')
@minValue(1)
@maxValue(35)
param sqlBackupRetentionDays int = 7

@description('`Encrypt` of the ODBC driver.')
@allowed([
  'yes'
  'strict'
])
param sqlEncrypt string = 'yes'

@description('Host (or host,port) of an existing SQL Server.')
@maxLength(253)
param existingSqlHost string = ''

@description('SQL login on an existing server, with its password in the Key Vault secret `target-sql-password`; empty: an Entra token.')
@maxLength(128)
param existingSqlUser string = ''

@description('Azure name of an existing SQL server, for scaling and for a private endpoint; empty for neither.')
@maxLength(63)
param existingSqlServerName string = ''

@description('Resource group of that server.')
@minLength(1)
@maxLength(90)
param existingSqlResourceGroup string = resourceGroup().name

@description('Host name of a PostgreSQL target, if the kind is postgres.')
@maxLength(253)
param targetPostgresHost string = ''

@description('Database of a PostgreSQL target.')
@minLength(1)
@maxLength(63)
param targetPostgresDatabase string = 'mendix'

@description('Login on a PostgreSQL target; empty: the name of the app\'s identity.')
@maxLength(63)
param targetPostgresUser string = ''

@description('The PostgreSQL target wants a password (Key Vault secret `target-postgres-password`).')
param targetPostgresUsesPassword bool = false

@description('TLS towards PostgreSQL servers; verify-full needs their root certificate on the instance.')
@allowed([
  'require'
  'verify-ca'
  'verify-full'
])
param postgresSslMode string = 'require'

@description('TCP port of PostgreSQL servers.')
@minValue(1)
@maxValue(65535)
param postgresPort int = 5432

// --- sources ---------------------------------------------------------------------------------------------------------

@description('Name of the source profiles, as requests say it: lower-case letters, digits and hyphens.')
@minLength(1)
@maxLength(40)
param sourceProfile string = 'mendix'

@description('ProjectId of the Mendix app; empty: no Mendix Cloud source.')
@maxLength(64)
param mendixProjectId string = ''

@description('EnvironmentId whose backup is taken.')
@maxLength(64)
param mendixEnvironmentId string = ''

@description('Mendix user of the API key.')
@maxLength(256)
param mendixUsername string = ''

@description('AppId (sub-domain) for the Deploy API, needed to stop the source app.')
@maxLength(128)
param mendixAppId string = ''

@description('Environment mode for the Deploy API.')
@minLength(1)
@maxLength(64)
param mendixMode string = 'Production'

// --- the target app ---------------------------------------------------------------------------------------------------

@description('How the target app is stopped and started; empty: people do it.')
@allowed(['', 'manual', 'webhook', 'azure', 'kubernetes', 'mendix-operator'])
param appKind string = ''

@description('Whether calls of the hook are signed with the Key Vault secret app-secret.')
param appSigned bool = false

@description('Resource id of the app on App Service or Container Apps; give the identity a role that may start and stop it.')
@maxLength(1024)
param appResourceId string = ''

@description('Kubernetes API server.')
@maxLength(256)
param appServer string = ''

@description('Kubernetes namespace.')
@minLength(1)
@maxLength(63)
param appNamespace string = 'default'

@description('Name of the Deployment or MendixApp.')
@maxLength(253)
param appName string = ''

@description('Replicas when started.')
@minValue(1)
@maxValue(50)
param appReplicas int = 1

@description('Certificate authority of the API server, PEM; empty: a public one.')
@maxLength(8192)
param appCertificateAuthority string = ''

@description('Admin port of the Mendix runtime (m2ee), for smoke checks; its password is the Key Vault secret app-admin-password. Empty: none.')
@maxLength(256)
param appAdminUrl string = ''

// --- telling what happens --------------------------------------------------------------------------------------------

@description('Form of the messages about migrations; empty: none are sent.')
@allowed(['', 'teams', 'slack', 'cloudevents', 'mail'])
param notifyKind string = ''

@description('Name of that channel: lower-case letters, digits and hyphens.')
@minLength(1)
@maxLength(40)
param notifyChannel string = 'team'

@description('Who reads it: chooses the wording, and the events if none are named.')
@allowed(['users', 'team', 'management'])
param notifyAudience string = 'team'

@description('Event names parted by commas; those of the audience if empty.')
@maxLength(512)
param notifyEvents string = ''

@description('Whether the messages of `cloudevents` are signed with the Key Vault secret notify-secret.')
param notifySigned bool = false

@description('Azure Communication Services endpoint, for mail.')
@maxLength(256)
param notifyMailEndpoint string = ''

@description('Sender address, from a verified domain, for mail.')
@maxLength(256)
param notifyMailSender string = ''

@description('Addresses that mail goes to, parted by commas.')
@maxLength(2048)
param notifyMailRecipients string = ''

@description('Existing storage account that holds snapshots; empty: none.')
@maxLength(24)
param sourceAccountName string = ''

@description('Resource group of that account.')
@minLength(1)
@maxLength(90)
param sourceAccountResourceGroup string = resourceGroup().name

// --- secrets, into Key Vault -------------------------------------------------------------------------------------------

@secure()
@description('Mendix API key; empty: put it into the vault later.')
@maxLength(2048)
param mendixApiKey string = ''

@secure()
@description('Password of the SQL login of an existing target.')
@maxLength(2048)
param targetSqlPassword string = ''

@secure()
@description('Password of a PostgreSQL target.')
@maxLength(2048)
param targetPostgresPassword string = ''

@secure()
@description('Password of an existing temporary PostgreSQL server.')
@maxLength(2048)
param postgresPassword string = ''

// --- rehearsals and people -----------------------------------------------------------------------------------------

@description('Start a rehearsal by the timer.')
param rehearsalEnabled bool = false

@description('When, as NCRONTAB in UTC.')
@minLength(9)
@maxLength(100)
param rehearsalSchedule string = '0 0 2 * * 6'

@description('JSON body of the rehearsal\'s migration request; it names profiles, never secrets.')
@maxLength(16384)
param rehearsalRequest string = ''

@description('Mail addresses that are told about failures.')
@maxLength(20)
param alertMailAddresses string[] = []

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

// --- names -----------------------------------------------------------------------------------------------------------

var prefix = toLower(namePrefix)
var suffix = uniqueString(subscription().id, resourceGroup().id, environmentName)
var name = '${prefix}-${toLower(environmentName)}'
var deploymentContainer = 'app-package'
var tags = {
  'azd-env-name': environmentName
  application: 'mxferry'
  stage: stage
}

var newPostgres = postgresMode == 'new'
var newSql = targetKind == 'sqlserver' && sqlMode == 'new'
var newFiles = filesMode == 'new'
var withScheduler = durableBackend == 'DurableTaskScheduler'
var managedPostgres = newPostgres || !empty(existingPostgresServerName)
var managedSql = newSql || (targetKind == 'sqlserver' && !empty(existingSqlServerName))
var scaling = managedSql && !empty(sqlScaleUpTo)

// --- the parts -------------------------------------------------------------------------------------------------------

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    location: location
    name: '${name}-app-id'
    tags: tags
  }
}

module network 'modules/network.bicep' = if (!publicAccess) {
  name: 'network'
  params: {
    location: location
    name: name
    addressPrefix: networkAddressPrefix
    createPrivateDnsZones: createPrivateDnsZones
    withScheduler: withScheduler
    tags: tags
  }
}

var functionsSubnetId = publicAccess ? '' : network!.outputs.functionsSubnetId
var endpointsSubnetId = publicAccess ? '' : network!.outputs.endpointsSubnetId
var blobZoneId = publicAccess ? '' : network!.outputs.blobZoneId
var queueZoneId = publicAccess ? '' : network!.outputs.queueZoneId
var tableZoneId = publicAccess ? '' : network!.outputs.tableZoneId
var vaultZoneId = publicAccess ? '' : network!.outputs.vaultZoneId
var postgresZoneId = publicAccess ? '' : network!.outputs.postgresZoneId
var sqlZoneId = publicAccess ? '' : network!.outputs.sqlZoneId
var sitesZoneId = publicAccess ? '' : network!.outputs.sitesZoneId
var schedulerZoneId = publicAccess ? '' : network!.outputs.schedulerZoneId

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    name: name
    retentionInDays: logRetentionDays
    tags: tags
  }
}

module hostStorage 'modules/storage.bicep' = {
  name: 'host-storage'
  params: {
    location: location
    name: '${prefix}host${suffix}'
    skuName: stagingRedundancy
    containers: [
      deploymentContainer
    ]
    softDelete: false
    endpointGroups: [
      'blob'
      'queue'
      'table'
    ]
    endpointZoneIds: [
      blobZoneId
      queueZoneId
      tableZoneId
    ]
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module staging 'modules/storage.bicep' = {
  name: 'staging'
  params: {
    location: location
    name: '${prefix}stage${suffix}'
    skuName: stagingRedundancy
    containers: [
      stagingContainer
      reportsContainer
    ]
    expiringPrefix: '${stagingContainer}/runs/'
    expireAfterDays: stagingExpiryDays
    // What clean-up deletes is production data: deleted must mean gone.
    softDelete: false
    endpointGroups: [
      'blob'
    ]
    endpointZoneIds: [
      blobZoneId
    ]
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module files 'modules/storage.bicep' = if (newFiles) {
  name: 'files'
  params: {
    location: location
    name: '${prefix}files${suffix}'
    skuName: filesRedundancy
    containers: [
      filesContainer
    ]
    softDelete: true
    endpointGroups: [
      'blob'
    ]
    endpointZoneIds: [
      blobZoneId
    ]
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module existingFilesEndpoint 'modules/endpoint.bicep' = if (!newFiles && !publicAccess) {
  name: 'existing-files-endpoint'
  params: {
    location: location
    name: '${name}-files'
    resourceId: resourceId(existingFilesResourceGroup, 'Microsoft.Storage/storageAccounts', existingFilesAccountName)
    groupId: 'blob'
    subnetId: endpointsSubnetId
    privateDnsZoneId: blobZoneId
    tags: tags
  }
}

module sourceEndpoint 'modules/endpoint.bicep' = if (!empty(sourceAccountName) && !publicAccess) {
  name: 'source-endpoint'
  params: {
    location: location
    name: '${name}-source'
    resourceId: resourceId(sourceAccountResourceGroup, 'Microsoft.Storage/storageAccounts', sourceAccountName)
    groupId: 'blob'
    subnetId: endpointsSubnetId
    privateDnsZoneId: blobZoneId
    tags: tags
  }
}

module keyVault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  params: {
    location: location
    name: '${prefix}-kv-${suffix}'
    mendixApiKey: mendixApiKey
    targetSqlPassword: targetSqlPassword
    targetPostgresPassword: targetPostgresPassword
    postgresPassword: postgresPassword
    privateDnsZoneId: vaultZoneId
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module postgres 'modules/postgres.bicep' = if (newPostgres) {
  name: 'postgres'
  params: {
    location: location
    name: '${prefix}-pg-${suffix}'
    version: postgresVersion
    skuName: postgresSkuName
    skuTier: postgresSkuTier
    storageSizeGB: postgresStorageSizeGB
    identityName: identity.outputs.name
    identityPrincipalId: identity.outputs.principalId
    administratorName: administratorName
    administratorObjectId: administratorObjectId
    administratorType: administratorType
    privateDnsZoneId: postgresZoneId
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module existingPostgresEndpoint 'modules/endpoint.bicep' = if (!newPostgres && managedPostgres && !publicAccess) {
  name: 'existing-postgres-endpoint'
  params: {
    location: location
    name: '${name}-postgres'
    resourceId: resourceId(existingPostgresResourceGroup, 'Microsoft.DBforPostgreSQL/flexibleServers', existingPostgresServerName)
    groupId: 'postgresqlServer'
    subnetId: endpointsSubnetId
    privateDnsZoneId: postgresZoneId
    tags: tags
  }
}

module sql 'modules/sql.bicep' = if (newSql) {
  name: 'sql'
  params: {
    location: location
    serverName: '${prefix}-sql-${suffix}'
    databaseName: sqlDatabaseName
    skuName: sqlSkuName
    maxSizeGB: sqlMaxSizeGB
    collation: sqlCollation
    backupRedundancy: sqlBackupRedundancy
    backupRetentionDays: sqlBackupRetentionDays
    administratorName: administratorName
    administratorSid: administratorObjectId
    administratorType: administratorType
    privateDnsZoneId: sqlZoneId
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module existingSqlEndpoint 'modules/endpoint.bicep' = if (!newSql && managedSql && !publicAccess) {
  name: 'existing-sql-endpoint'
  params: {
    location: location
    name: '${name}-sql'
    resourceId: resourceId(existingSqlResourceGroup, 'Microsoft.Sql/servers', existingSqlServerName)
    groupId: 'sqlServer'
    subnetId: endpointsSubnetId
    privateDnsZoneId: sqlZoneId
    tags: tags
  }
}

module scheduler 'modules/scheduler.bicep' = if (withScheduler) {
  name: 'scheduler'
  params: {
    location: location
    name: '${prefix}-tasks-${suffix}'
    taskHubName: taskHubName
    skuName: schedulerSku
    privateDnsZoneId: schedulerZoneId
    endpointsSubnetId: endpointsSubnetId
    publicAccess: publicAccess
    tags: tags
  }
}

// --- what the identity may do ------------------------------------------------------------------------------------------

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    principalId: identity.outputs.principalId
    hostAccountName: hostStorage.outputs.name
    stagingAccountName: staging.outputs.name
    vaultName: keyVault.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

module roleTargetBlobs 'modules/roletargetblobs.bicep' = {
  name: 'role-target-blobs'
  scope: resourceGroup(newFiles ? resourceGroup().name : existingFilesResourceGroup)
  params: {
    principalId: identity.outputs.principalId
    accountName: newFiles ? files!.outputs.name : existingFilesAccountName
    containerName: filesContainer
  }
}

module roleSourceBlobs 'modules/rolesourceblobs.bicep' = if (!empty(sourceAccountName)) {
  name: 'role-source-blobs'
  scope: resourceGroup(sourceAccountResourceGroup)
  params: {
    principalId: identity.outputs.principalId
    accountName: sourceAccountName
  }
}

module rolePostgres 'modules/rolepostgres.bicep' = if (managedPostgres) {
  name: 'role-postgres'
  scope: resourceGroup(newPostgres ? resourceGroup().name : existingPostgresResourceGroup)
  params: {
    principalId: identity.outputs.principalId
    serverName: newPostgres ? postgres!.outputs.name : existingPostgresServerName
  }
}

module roleSql 'modules/rolesql.bicep' = if (scaling) {
  name: 'role-sql'
  scope: resourceGroup(newSql ? resourceGroup().name : existingSqlResourceGroup)
  params: {
    principalId: identity.outputs.principalId
    serverName: newSql ? sql!.outputs.serverName : existingSqlServerName
    databaseName: sqlDatabaseName
  }
}

module roleScheduler 'modules/rolescheduler.bicep' = if (withScheduler) {
  name: 'role-scheduler'
  params: {
    principalId: identity.outputs.principalId
    schedulerName: scheduler!.outputs.name
  }
}

// --- app settings: exactly those that shared/settings.py reads, and those of the host (docs/settings.md) --------------

var secretsUri = '${keyVault.outputs.uri}secrets/'

var hostSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  AzureWebJobsStorage__blobServiceUri: hostStorage.outputs.blobEndpoint
  AzureWebJobsStorage__queueServiceUri: hostStorage.outputs.queueEndpoint
  AzureWebJobsStorage__tableServiceUri: hostStorage.outputs.tableEndpoint
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
  TASKHUB_NAME: taskHubName
  PYTHON_THREADPOOL_THREAD_COUNT: string(workerThreads)
  AZURE_FUNCTIONS_DURABLE_STRICT_TYPING: '1'
}

var schedulerSettings = withScheduler
  ? {
      DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${scheduler!.outputs.endpoint};Authentication=ManagedIdentity;ClientID=${identity.outputs.clientId}'
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
    }
  : {}

var ownSettings = {
  AZURE_CLIENT_ID: identity.outputs.clientId
  IDENTITY_NAME: identity.outputs.name
  MANAGEMENT_URL: environment().resourceManager
  STAGING__ACCOUNT_URL: staging.outputs.blobEndpoint
  STAGING__CONTAINER: stagingContainer
  STAGING__REPORTS_CONTAINER: reportsContainer
  POSTGRES__HOST: newPostgres ? postgres!.outputs.host : existingPostgresHost
  POSTGRES__PORT: string(postgresPort)
  POSTGRES__USER: newPostgres || empty(existingPostgresUser) ? identity.outputs.name : existingPostgresUser
  POSTGRES__DATABASE: 'postgres'
  POSTGRES__SSLMODE: postgresSslMode
  POSTGRES__STOP_WHEN_IDLE: string(postgresStopWhenIdle)
  KEEP_DAYS: string(keepDays)
  COPY_CHUNK_BYTES: string(copyChunkBytes)
  COPY_STALL_SECONDS: string(copyStallSeconds)
  VERIFY_SLICE_BYTES: string(verifySliceBytes)
  REHEARSAL_SCHEDULE: rehearsalSchedule
  REHEARSAL__ENABLED: string(rehearsalEnabled)
  REHEARSAL__REQUEST: rehearsalRequest
}

var postgresPowerSettings = managedPostgres
  ? {
      POSTGRES__RESOURCE_ID: newPostgres
        ? postgres!.outputs.id
        : resourceId(existingPostgresResourceGroup, 'Microsoft.DBforPostgreSQL/flexibleServers', existingPostgresServerName)
    }
  : {}

var postgresPasswordSettings = !newPostgres && existingPostgresUsesPassword
  ? {
      POSTGRES__PASSWORD: '@Microsoft.KeyVault(SecretUri=${secretsUri}postgres-password/)'
    }
  : {}

var target = 'TARGET__${toUpper(replace(targetProfile, '-', '_'))}__'

var targetSettings = {
  '${target}KIND': targetKind
  '${target}THROW_AWAY': string(targetThrowAway)
  '${target}MAX_PARALLEL_CHUNKS': string(targetParallelChunks)
  '${target}MAX_PARALLEL_FILES': string(targetParallelFiles)
  '${target}LOAD': targetLoad
  '${target}BLOB__ACCOUNT_URL': newFiles ? files!.outputs.blobEndpoint : 'https://${existingFilesAccountName}.blob.${environment().suffixes.storage}/'
  '${target}BLOB__CONTAINER': filesContainer
}

var targetSqlSettings = targetKind == 'sqlserver'
  ? {
      '${target}SQL__SERVER': newSql ? sql!.outputs.host : existingSqlHost
      '${target}SQL__DATABASE': sqlDatabaseName
      '${target}SQL__ENCRYPT': sqlEncrypt
    }
  : {}

var targetSqlLoginSettings = targetKind == 'sqlserver' && !newSql && !empty(existingSqlUser)
  ? {
      '${target}SQL__USER': existingSqlUser
      '${target}SQL__PASSWORD': '@Microsoft.KeyVault(SecretUri=${secretsUri}target-sql-password/)'
    }
  : {}

var targetSqlScaleSettings = scaling
  ? {
      '${target}SQL__RESOURCE_ID': newSql
        ? sql!.outputs.databaseId
        : resourceId(existingSqlResourceGroup, 'Microsoft.Sql/servers/databases', existingSqlServerName, sqlDatabaseName)
      '${target}SQL__SCALE_UP_TO': sqlScaleUpTo
    }
  : {}

var targetPostgresSettings = targetKind == 'postgres'
  ? {
      '${target}POSTGRES__HOST': targetPostgresHost
      '${target}POSTGRES__PORT': string(postgresPort)
      '${target}POSTGRES__USER': empty(targetPostgresUser) ? identity.outputs.name : targetPostgresUser
      '${target}POSTGRES__DATABASE': targetPostgresDatabase
      '${target}POSTGRES__SSLMODE': postgresSslMode
    }
  : {}

var targetPostgresPasswordSettings = targetKind == 'postgres' && targetPostgresUsesPassword
  ? {
      '${target}POSTGRES__PASSWORD': '@Microsoft.KeyVault(SecretUri=${secretsUri}target-postgres-password/)'
    }
  : {}

var source = 'SOURCE__${toUpper(replace(sourceProfile, '-', '_'))}__'

var mendixSettings = empty(mendixProjectId)
  ? {}
  : {
      '${source}MENDIX_CLOUD__PROJECT_ID': mendixProjectId
      '${source}MENDIX_CLOUD__ENVIRONMENT_ID': mendixEnvironmentId
      '${source}MENDIX_CLOUD__USERNAME': mendixUsername
      '${source}MENDIX_CLOUD__API_KEY': '@Microsoft.KeyVault(SecretUri=${secretsUri}mendix-api-key/)'
      '${source}MENDIX_CLOUD__MODE': mendixMode
    }

var mendixAppSettings = empty(mendixProjectId) || empty(mendixAppId)
  ? {}
  : {
      '${source}MENDIX_CLOUD__APP_ID': mendixAppId
    }

var sourceBlobSettings = empty(sourceAccountName)
  ? {}
  : {
      '${source}BLOB__ACCOUNT_URL': 'https://${sourceAccountName}.blob.${environment().suffixes.storage}/'
    }

var appKindSettings = empty(appKind)
  ? {}
  : {
      '${target}APP__KIND': appKind
    }

var appHookSettings = appKind == 'webhook'
  ? {
      '${target}APP__URL': '@Microsoft.KeyVault(SecretUri=${secretsUri}app-url/)'
    }
  : {}

var appSecretSettings = appKind == 'webhook' && appSigned
  ? {
      '${target}APP__SECRET': '@Microsoft.KeyVault(SecretUri=${secretsUri}app-secret/)'
    }
  : {}

var appAzureSettings = appKind == 'azure'
  ? {
      '${target}APP__RESOURCE_ID': appResourceId
    }
  : {}

var appClusterSettings = appKind == 'kubernetes' || appKind == 'mendix-operator'
  ? {
      '${target}APP__SERVER': appServer
      '${target}APP__NAMESPACE': appNamespace
      '${target}APP__NAME': appName
      '${target}APP__REPLICAS': string(appReplicas)
      '${target}APP__TOKEN': '@Microsoft.KeyVault(SecretUri=${secretsUri}app-token/)'
    }
  : {}

var appAdminSettings = empty(appAdminUrl)
  ? {}
  : {
      '${target}APP__ADMIN_URL': appAdminUrl
      '${target}APP__ADMIN_PASSWORD': '@Microsoft.KeyVault(SecretUri=${secretsUri}app-admin-password/)'
    }

var appTrustSettings = empty(appCertificateAuthority)
  ? {}
  : {
      '${target}APP__CA': appCertificateAuthority
    }

var notify = 'NOTIFY__${toUpper(replace(notifyChannel, '-', '_'))}__'

var notifySettings = empty(notifyKind)
  ? {}
  : {
      '${notify}KIND': notifyKind
      '${notify}AUDIENCE': notifyAudience
      '${notify}EVENTS': notifyEvents
    }

// The address of a webhook is the permission to post to it.
var notifyWebhookSettings = empty(notifyKind) || notifyKind == 'mail'
  ? {}
  : {
      '${notify}URL': '@Microsoft.KeyVault(SecretUri=${secretsUri}notify-url/)'
    }

var notifySecretSettings = notifyKind == 'cloudevents' && notifySigned
  ? {
      '${notify}SECRET': '@Microsoft.KeyVault(SecretUri=${secretsUri}notify-secret/)'
    }
  : {}

var notifyMailSettings = notifyKind == 'mail'
  ? {
      '${notify}ENDPOINT': notifyMailEndpoint
      '${notify}SENDER': notifyMailSender
      '${notify}RECIPIENTS': notifyMailRecipients
    }
  : {}

module functions 'modules/functions.bicep' = {
  name: 'functions'
  params: {
    location: location
    name: '${name}-app-${suffix}'
    serviceName: 'api'
    pythonVersion: '3.13'
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyDurable: alwaysReadyInstances
    identityId: identity.outputs.id
    hostBlobEndpoint: hostStorage.outputs.blobEndpoint
    deploymentContainer: deploymentContainer
    appSettings: union(
      hostSettings,
      schedulerSettings,
      ownSettings,
      postgresPowerSettings,
      postgresPasswordSettings,
      targetSettings,
      targetSqlSettings,
      targetSqlLoginSettings,
      targetSqlScaleSettings,
      targetPostgresSettings,
      targetPostgresPasswordSettings,
      mendixSettings,
      mendixAppSettings,
      sourceBlobSettings,
      appKindSettings,
      appHookSettings,
      appSecretSettings,
      appAzureSettings,
      appClusterSettings,
      appTrustSettings,
      appAdminSettings,
      notifySettings,
      notifyWebhookSettings,
      notifySecretSettings,
      notifyMailSettings
    )
    functionsSubnetId: functionsSubnetId
    endpointsSubnetId: endpointsSubnetId
    privateDnsZoneId: sitesZoneId
    publicAccess: publicAccess
    allowedAddresses: allowedAddresses
    apiClientId: apiClientId
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
  // The first start reads the package and the host's storage as the identity: its roles come first.
  dependsOn: [
    roles
    roleScheduler
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    name: name
    workspaceId: monitoring.outputs.workspaceId
    mailAddresses: alertMailAddresses
    tags: tags
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    title: 'mxferry ${environmentName}'
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

@description('Name of the function app.')
output AZURE_FUNCTION_NAME string = functions.outputs.name

@description('Address of the API.')
output SERVICE_API_URI string = functions.outputs.uri

@description('Key Vault, for `az keyvault secret set`.')
output AZURE_KEY_VAULT_NAME string = keyVault.outputs.name

@description('Name of the app\'s identity, which is its login in both databases.')
output IDENTITY_NAME string = identity.outputs.name

@description('Client id of the app\'s identity.')
output IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('To be run once in the target database by its Entra administrator.')
output SQL_CREATE_USER string = 'CREATE USER [${identity.outputs.name}] FROM EXTERNAL PROVIDER; ALTER ROLE db_owner ADD MEMBER [${identity.outputs.name}];'

@description('Host of the target\'s SQL Server; empty for a PostgreSQL target.')
output SQL_HOST string = targetKind != 'sqlserver' ? '' : newSql ? sql!.outputs.host : existingSqlHost

@description('Host of the temporary PostgreSQL server.')
output POSTGRES_HOST string = newPostgres ? postgres!.outputs.host : existingPostgresHost

@description('Name of the storage account for staging and reports.')
output STAGING_ACCOUNT_NAME string = staging.outputs.name

@description('Outbound address of the app, for the firewalls of others; empty with public access.')
output OUTBOUND_IP_ADDRESS string = publicAccess ? '' : network!.outputs.outboundIpAddress
