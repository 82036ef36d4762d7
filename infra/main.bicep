metadata name = 'mxferry'
metadata description = 'Everything that brings Mendix Cloud environments into this subscription: private and without passwords unless asked otherwise.'

targetScope = 'resourceGroup'

import { channel, channelSettings, sourceProfile, sourceSettings, targetProfile, targetSettings } from 'profiles.bicep'

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

// --- staging and the targets' files ---------------------------------------------------------------------------------

@description('Redundancy of staging and host accounts.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param stagingRedundancy string = 'Standard_LRS'

@description('Days after which runs that were not cleaned up are deleted from staging; at least two more than `keepDays` are taken.')
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

@description('Redundancy of the account that is made for target apps\' files.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param filesRedundancy string = 'Standard_ZRS'

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

@description('Resource id of an existing flexible server, for start and stop and for a private endpoint; empty for neither.')
@maxLength(512)
param existingPostgresId string = ''

@description('Let logins with a password in beside Entra tokens, on a new server. Target mode `runtime` needs it: a Mendix runtime reads its source by a short-lived login that the run makes.')
@allowed([
  'Disabled'
  'Enabled'
])
param postgresPasswordAuth string = 'Disabled'

@secure()
@description('Password of the server\'s built-in administrator, which a server with password logins must have. Nobody uses it: it is another one at every deployment.')
@maxLength(128)
param postgresUnusedPassword string = 'Mx-${newGuid()}'

@description('TLS towards the temporary server: verify-full checks its certificate and its name, require checks nothing.')
@allowed([
  'require'
  'verify-ca'
  'verify-full'
])
param postgresSslMode string = 'verify-full'

@description('Whose certificates are trusted: system, the authorities that the machine trusts (Azure\'s servers have one of these), or the path of a PEM file in the package.')
@minLength(1)
@maxLength(256)
param postgresSslRootCertificate string = 'system'

@description('GiB of storage of an existing server that is no flexible server of Azure, for the look at its room; 0: its room is not looked at.')
@minValue(0)
param existingPostgresStorageGB int = 0

@description('TCP port of the temporary server.')
@minValue(1)
@maxValue(65535)
param postgresPort int = 5432

// --- profiles: what requests name -----------------------------------------------------------------------------------

@description('Target environments. What exists already is named by its resource id; what is not named is made.')
@minLength(1)
@maxLength(20)
param targets targetProfile[] = [
  {
    name: stage
    sql: {
      database: 'mendix'
    }
    files: {
      container: 'files'
    }
    throwAway: stage == 'rehearsal'
  }
]

@description('Where snapshots come from.')
@maxLength(20)
param sources sourceProfile[] = []

@description('Who is told what happens to migrations.')
@maxLength(20)
param channels channel[] = []

// --- new databases of targets -----------------------------------------------------------------------------------------

@description('SKU of a new database; a deployment sets the database back to it.')
@minLength(2)
@maxLength(40)
param sqlSkuName string = 'GP_Gen5_2'

@description('Largest size of a new database, GB.')
@minValue(1)
@maxValue(4096)
param sqlMaxSizeGB int = 32

@description('Collation of a new database; cannot be changed later.')
@minLength(5)
@maxLength(128)
param sqlCollation string = 'SQL_Latin1_General_CP1_CI_AS'

@description('Redundancy of a new database\'s back-ups.')
@allowed([
  'Local'
  'Zone'
  'Geo'
  'GeoZone'
])
param sqlBackupRedundancy string = 'Local'

@description('Days for which a point in time of a new database can be restored.')
@minValue(1)
@maxValue(35)
param sqlBackupRetentionDays int = 7

// --- how a migration goes ---------------------------------------------------------------------------------------------

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

// --- secrets, into Key Vault -------------------------------------------------------------------------------------------

@secure()
@description('Secrets by their names, such as `source-<profile>-api-key` (profiles.bicep names them); those that are not given are put into the vault later, with `az keyvault secret set`.')
param secrets object = {}

@secure()
@description('The key of a rehearsal\'s masks is drawn from it, in Key Vault.')
@minLength(16)
param maskSecret string = 'Mx-${newGuid()}'

@description('Put that secret into the vault; false where an earlier deployment has, so that a run that is under way keeps its masks.')
param newMaskSecret bool = true

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

// Azure's shortest for a server; the data is a copy of a snapshot that lies elsewhere.
var postgresBackupDays = 7
var filesSoftDeleteDays = 7
// The rule counts from the last change of a blob, a run is kept from its clean-up on: two days are for the run itself.
var expireAfterDays = max(stagingExpiryDays, keepDays + 2)

var newPostgres = postgresMode == 'new'
var managedPostgres = newPostgres || !empty(existingPostgresId)
var withScheduler = durableBackend == 'DurableTaskScheduler'
var identityName = '${name}-app-id'
var vaultName = '${prefix}-kv-${suffix}'
var filesAccountName = '${prefix}files${suffix}'
var postgresName = '${prefix}-pg-${suffix}'
var sqlServerName = '${prefix}-sql-${suffix}'
var filesAccountId = resourceId('Microsoft.Storage/storageAccounts', filesAccountName)
var postgresId = newPostgres ? resourceId('Microsoft.DBforPostgreSQL/flexibleServers', postgresName) : existingPostgresId
var sqlServerId = resourceId('Microsoft.Sql/servers', sqlServerName)
var temporaryServers = managedPostgres ? [postgresId] : []

// What the targets name, and what they leave to be made.
var sqlTargets = filter(targets, one => one.?sql != null && one.?sql.?host == null)
var newDatabases = union(
  [],
  map(filter(sqlTargets, one => one.?sql.?serverId == null), one => one.?sql.?database ?? '')
)
var newSql = !empty(newDatabases)
var existingSqlServers = union([], map(filter(sqlTargets, one => one.?sql.?serverId != null), one => one.?sql.?serverId ?? ''))
var scaledDatabases = union(
  [],
  map(
    filter(sqlTargets, one => one.?sql.?scaleUpTo != null),
    one => '${one.?sql.?serverId ?? sqlServerId}/databases/${one.?sql.?database ?? ''}'
  )
)
var existingPostgresServers = union(
  newPostgres || empty(existingPostgresId) ? [] : [existingPostgresId],
  map(filter(targets, one => one.?postgres.?serverId != null), one => one.?postgres.?serverId ?? '')
)
var newContainers = union([], map(filter(targets, one => one.files.?accountId == null), one => one.files.container))
var newFiles = !empty(newContainers)
var targetContainers = union(
  [],
  map(
    targets,
    one => '${one.files.?accountId ?? filesAccountId}/blobServices/default/containers/${one.files.container}'
  )
)
var sourceAccounts = union([], map(filter(sources, one => one.?accountId != null), one => one.?accountId ?? ''))
var existingAccounts = union(
  sourceAccounts,
  map(filter(targets, one => one.files.?accountId != null), one => one.files.?accountId ?? '')
)
var azureApps = union([], map(filter(targets, one => one.?app.?resourceId != null), one => one.?app.?resourceId ?? ''))
// A rehearsal starts its app with ScheduledEventExecution = NONE, which is a setting of the app.
var appsThatTakeSettings = map(
  filter(targets, one => one.?app.?resourceId != null && (one.?app.?takesSettings == true || one.?throwAway == true)),
  one => one.?app.?resourceId ?? ''
)
var webApps = filter(azureApps, id => contains(toLower(id), '/microsoft.web/sites/'))
var containerApps = filter(azureApps, id => contains(toLower(id), '/microsoft.app/containerapps/'))
var mailServices = union([], map(filter(channels, one => one.?serviceId != null), one => one.?serviceId ?? ''))

// --- the parts -------------------------------------------------------------------------------------------------------

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: {
    location: location
    name: identityName
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
    softDeleteDays: 0
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
    expireAfterDays: expireAfterDays
    // What clean-up deletes is production data: deleted must mean gone.
    softDeleteDays: 0
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
    name: filesAccountName
    skuName: filesRedundancy
    containers: newContainers
    softDeleteDays: filesSoftDeleteDays
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

module accountEndpoints 'modules/endpoint.bicep' = [
  for id in (publicAccess ? [] : existingAccounts): {
    name: 'account-endpoint-${uniqueString(id)}'
    params: {
      location: location
      name: '${name}-blob-${uniqueString(id)}'
      resourceId: id
      groupId: 'blob'
      subnetId: endpointsSubnetId
      privateDnsZoneId: blobZoneId
      tags: tags
    }
  }
]

module keyVault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  params: {
    location: location
    name: vaultName
    secrets: secrets
    maskSecret: maskSecret
    newMaskSecret: newMaskSecret
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
    name: postgresName
    version: postgresVersion
    passwordAuth: postgresPasswordAuth
    unusedPassword: postgresUnusedPassword
    skuName: postgresSkuName
    skuTier: postgresSkuTier
    backupRetentionDays: postgresBackupDays
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

module postgresEndpoints 'modules/endpoint.bicep' = [
  for id in (publicAccess ? [] : existingPostgresServers): {
    name: 'postgres-endpoint-${uniqueString(id)}'
    params: {
      location: location
      name: '${name}-postgres-${uniqueString(id)}'
      resourceId: id
      groupId: 'postgresqlServer'
      subnetId: endpointsSubnetId
      privateDnsZoneId: postgresZoneId
      tags: tags
    }
  }
]

module sql 'modules/sql.bicep' = if (newSql) {
  name: 'sql'
  params: {
    location: location
    serverName: sqlServerName
    databaseNames: newDatabases
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

module sqlEndpoints 'modules/endpoint.bicep' = [
  for id in (publicAccess ? [] : existingSqlServers): {
    name: 'sql-endpoint-${uniqueString(id)}'
    params: {
      location: location
      name: '${name}-sql-${uniqueString(id)}'
      resourceId: id
      groupId: 'sqlServer'
      subnetId: endpointsSubnetId
      privateDnsZoneId: sqlZoneId
      tags: tags
    }
  }
]

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

// A resource id has its subscription at 2, its resource group at 4, its name at 8, and the name of a part at 10 or 12.
module roleTargetBlobs 'modules/roletargetblobs.bicep' = [
  for id in targetContainers: {
    name: 'role-target-blobs-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      accountName: split(id, '/')[8]
      containerName: split(id, '/')[12]
    }
    dependsOn: [
      files
    ]
  }
]

module roleSourceBlobs 'modules/rolesourceblobs.bicep' = [
  for id in sourceAccounts: {
    name: 'role-source-blobs-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      accountName: split(id, '/')[8]
    }
  }
]

module rolePostgres 'modules/rolepostgres.bicep' = [
  for id in temporaryServers: {
    name: 'role-postgres-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      serverName: split(id, '/')[8]
    }
    dependsOn: [
      postgres
    ]
  }
]

// One after the other, here and below: those of one resource group share a role definition.
@batchSize(1)
module roleSql 'modules/rolesql.bicep' = [
  for id in scaledDatabases: {
    name: 'role-sql-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      serverName: split(id, '/')[8]
      databaseName: split(id, '/')[10]
    }
    dependsOn: [
      sql
    ]
  }
]

@batchSize(1)
module roleWebApps 'modules/rolewebapp.bicep' = [
  for id in webApps: {
    name: 'role-web-app-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      appName: split(id, '/')[8]
      takesSettings: contains(appsThatTakeSettings, id)
    }
  }
]

@batchSize(1)
module roleContainerApps 'modules/rolecontainerapp.bicep' = [
  for id in containerApps: {
    name: 'role-container-app-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      appName: split(id, '/')[8]
      takesSettings: contains(appsThatTakeSettings, id)
    }
  }
]

@batchSize(1)
module roleMail 'modules/rolemail.bicep' = [
  for id in mailServices: {
    name: 'role-mail-${uniqueString(id)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      principalId: identity.outputs.principalId
      serviceName: split(id, '/')[8]
    }
  }
]

module roleScheduler 'modules/rolescheduler.bicep' = if (withScheduler) {
  name: 'role-scheduler'
  params: {
    principalId: identity.outputs.principalId
    schedulerName: scheduler!.outputs.name
  }
}

// --- app settings: exactly those that shared/settings.py reads, and those of the host (docs/settings.md) --------------

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

var maskUri = newMaskSecret ? keyVault.outputs.maskUri : '${made.vaultUri}secrets/mask/'

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
  POSTGRES__SSLROOTCERT: postgresSslRootCertificate
  POSTGRES__STOP_WHEN_IDLE: string(postgresStopWhenIdle)
  KEEP_DAYS: string(keepDays)
  RETENTION__STAGING_DAYS: string(expireAfterDays)
  RETENTION__LOG_DAYS: string(logRetentionDays)
  MASK_SECRET: '@Microsoft.KeyVault(SecretUri=${maskUri})'
  COPY_CHUNK_BYTES: string(copyChunkBytes)
  COPY_STALL_SECONDS: string(copyStallSeconds)
  VERIFY_SLICE_BYTES: string(verifySliceBytes)
  REHEARSAL_SCHEDULE: rehearsalSchedule
  // Without channels there is nobody to tell, and a timer of every minute would keep waking the app.
  TELL_SCHEDULE: empty(channels) ? '0 0 3 * * *' : '0 * * * * *'
  REHEARSAL__ENABLED: string(rehearsalEnabled)
  REHEARSAL__REQUEST: rehearsalRequest
}

// All of it is known before anything is made, so that no lambda below waits for a resource.
var made = {
  vaultUri: 'https://${vaultName}${environment().suffixes.keyvaultDns}/'
  identityName: identityName
  sqlServerId: sqlServerId
  sqlBackupDays: sqlBackupRetentionDays
  filesSoftDeleteDays: filesSoftDeleteDays
  filesEndpoint: 'https://${filesAccountName}.blob.${environment().suffixes.storage}/'
  storageSuffix: environment().suffixes.storage
  sqlSuffix: environment().suffixes.sqlServerHostname
}

var postgresPowerSettings = managedPostgres
  ? {
      POSTGRES__RESOURCE_ID: postgresId
    }
  : {}

var postgresBackupSettings = newPostgres
  ? {
      RETENTION__POSTGRES_BACKUP_DAYS: string(postgresBackupDays)
    }
  : {}

var postgresRoomSettings = existingPostgresStorageGB > 0
  ? {
      POSTGRES__STORAGE_GB: string(existingPostgresStorageGB)
    }
  : {}

var postgresPasswordSettings = !newPostgres && existingPostgresUsesPassword
  ? {
      POSTGRES__PASSWORD: '@Microsoft.KeyVault(SecretUri=${made.vaultUri}secrets/postgres-password/)'
    }
  : {}

var profileSettings = reduce(
  concat(
    map(targets, one => targetSettings(one, made)),
    map(sources, one => sourceSettings(one, made)),
    map(channels, one => channelSettings(one, made))
  ),
  {},
  (all, next) => union(all, next)
)

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
      postgresBackupSettings,
      postgresRoomSettings,
      postgresPasswordSettings,
      profileSettings
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

@description('To be run once in a new target database by its Entra administrator, unless the app may do it itself (POST /api/setup).')
output SQL_CREATE_USER string = 'CREATE USER [${identity.outputs.name}] FROM EXTERNAL PROVIDER; GRANT ALTER, CREATE PROCEDURE, CREATE TABLE, DELETE, EXECUTE, INSERT, REFERENCES, SELECT, UPDATE, VIEW DATABASE STATE TO [${identity.outputs.name}];'

@description('Host of the new Azure SQL server; empty if none is made.')
output SQL_HOST string = newSql ? sql!.outputs.host : ''

@description('Host of the temporary PostgreSQL server.')
output POSTGRES_HOST string = newPostgres ? postgres!.outputs.host : existingPostgresHost

@description('Name of the storage account for staging and reports.')
output STAGING_ACCOUNT_NAME string = staging.outputs.name

@description('Outbound address of the app, for the firewalls of others; empty with public access.')
output OUTBOUND_IP_ADDRESS string = publicAccess ? '' : network!.outputs.outboundIpAddress
