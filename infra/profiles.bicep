metadata name = 'mxferry profiles'
metadata description = 'The profiles that requests name (targets, sources, channels) as types, and the app settings that are made of them.'

// What exists already is named by its Azure resource id: `az resource show … --query id`. What is not named is made.

@export()
@description('The database of a target app in Azure SQL or SQL Server.')
type sqlDatabase = {
  @description('Name of the database.')
  @minLength(1)
  @maxLength(128)
  database: string

  @description('Resource id of an existing Azure SQL server. Absent, as `host` is: a new database on the server that the deployment makes.')
  serverId: string?

  @description('Host (or host,port) of a SQL Server outside Azure SQL.')
  host: string?

  @description('SQL login, with its password in the secret `target-<profile>-sql-password`; absent: an Entra token.')
  user: string?

  @description('Encryption of the connection; `yes` if absent.')
  encrypt: ('yes' | 'strict')?

  @description('SKU for the time of the load, such as GP_Gen5_8, brought back after; absent: never scaled. In Azure SQL only.')
  scaleUpTo: string?
}

@export()
@description('The database of a target app in PostgreSQL.')
type postgresDatabase = {
  @description('Host name of the server.')
  @minLength(1)
  @maxLength(253)
  host: string

  @description('Name of the database.')
  @minLength(1)
  @maxLength(63)
  database: string

  @description('Resource id of the flexible server, for a private endpoint; absent: the app reaches the host as it is.')
  serverId: string?

  @description('TCP port; 5432 if absent.')
  @minValue(1)
  @maxValue(65535)
  port: int?

  @description('Login; absent: the name of the app\'s identity.')
  user: string?

  @description('Role of the Mendix runtime, which shall own the tables; the app\'s login must be a member of it. Absent: the app\'s login owns them.')
  owner: string?

  @description('The server wants a password, in the secret `target-<profile>-postgres-password`, in the place of an Entra token.')
  usesPassword: bool?

  @description('TLS; `verify-full` if absent. `require` checks neither the certificate nor the name in it.')
  sslMode: ('require' | 'verify-ca' | 'verify-full')?

  @description('Whose certificates are trusted: `system` if absent, or the path of a PEM file in the package.')
  sslRootCertificate: string?

  @description('GiB of storage that the server\'s databases may fill, for the look at its room; absent: it is not looked at.')
  @minValue(1)
  storageGB: int?
}

@export()
@description('The container of a target app\'s files.')
type filesContainer = {
  @description('Name of the container.')
  @minLength(3)
  @maxLength(63)
  container: string

  @description('Resource id of an existing storage account; absent: the account that the deployment makes.')
  accountId: string?
}

@export()
@description('How a target app is stopped and started.')
type application = {
  @description('People; a hook of the team; App Service or Container App; a Deployment; a MendixApp resource.')
  kind: 'manual' | 'webhook' | 'azure' | 'kubernetes' | 'mendix-operator'

  @description('Resource id of the web app or container app, for kind `azure`; the identity gets a role to start and stop it.')
  resourceId: string?

  @description('The run sets variables of the app, so its role may change the app\'s settings too: target mode `runtime` with hand-over by adapter. A target that is `throwAway` needs it, and has it, for every rehearsal that starts the app.')
  takesSettings: bool?

  @description('For kind `webhook`, whose address is the secret `target-<profile>-app-url`: calls are signed with the secret `target-<profile>-app-secret`.')
  signed: bool?

  @description('Kubernetes API server, https://host:port; the token is the secret `target-<profile>-app-token`.')
  server: string?

  @description('Kubernetes namespace; `default` if absent.')
  namespace: string?

  @description('Name of the Deployment or MendixApp.')
  name: string?

  @description('Replicas when started; 1 if absent.')
  @minValue(1)
  @maxValue(50)
  replicas: int?

  @description('Minutes that the app may take to stop or to start; 15 if absent.')
  @minValue(1)
  @maxValue(1440)
  patienceMinutes: int?

  @description('Certificate authority of the API server, PEM; absent: a public one.')
  certificateAuthority: string?

  @description('Admin port of the Mendix runtime (m2ee), for smoke checks; its password is the secret `target-<profile>-app-admin-password`.')
  adminUrl: string?

  @description('Where users call the app, https://<host> without a path, for smoke checks that are signed in; together with `smokeUser`.')
  address: string?

  @description('User of the app that such checks sign in as; its password is the secret `target-<profile>-app-smoke-password`.')
  smokeUser: string?
}

@export()
@description('A target environment: one database, one container.')
type targetProfile = {
  @description('Name, as requests say it: lower-case letters, digits and hyphens.')
  @minLength(1)
  @maxLength(40)
  name: string

  @description('The database, if the target app uses SQL Server. Give this or `postgres`.')
  sql: sqlDatabase?

  @description('The database, if the target app uses PostgreSQL.')
  postgres: postgresDatabase?

  @description('The files.')
  files: filesContainer

  @description('How the app is stopped and started; absent: people do it.')
  app: application?

  @description('True only for a rehearsal target, which may be dropped unasked.')
  throwAway: bool?

  @description('Keys after the load, or before it; `heap-first` if absent.')
  load: ('heap-first' | 'keys-first')?

  @description('Chunks of rows loaded at the same time; 4 if absent.')
  @minValue(1)
  @maxValue(64)
  parallelChunks: int?

  @description('Slices of files copied at the same time; 4 if absent.')
  @minValue(1)
  @maxValue(64)
  parallelFiles: int?
}

@export()
@description('An environment in Mendix Cloud; its API key is the secret `source-<profile>-api-key`.')
type mendixEnvironment = {
  @description('ProjectId of the Mendix app.')
  projectId: string

  @description('EnvironmentId whose backup is taken.')
  environmentId: string

  @description('Mendix user of the API key.')
  username: string

  @description('AppId (sub-domain) for the Deploy API, needed to stop and start the source app.')
  appId: string?

  @description('Environment mode for the Deploy API; `Production` if absent.')
  mode: string?

  @description('True if the secret `source-<profile>-personal-access-token` is there: preflight then asks for the PostgreSQL version of the source.')
  asksPlatform: bool?
}

@export()
@description('Where snapshots come from.')
type sourceProfile = {
  @description('Name, as requests say it: lower-case letters, digits and hyphens.')
  @minLength(1)
  @maxLength(40)
  name: string

  @description('An environment in Mendix Cloud.')
  mendixCloud: mendixEnvironment?

  @description('Resource id of an existing storage account that holds snapshots.')
  accountId: string?
}

@export()
@description('Who is told what happens to migrations. Webhooks: the address is the secret `notify-<name>-url`; messages of `cloudevents` are signed with the secret `notify-<name>-secret`.')
type channel = {
  @description('Name: lower-case letters, digits and hyphens.')
  @minLength(1)
  @maxLength(40)
  name: string

  @description('Form of the message.')
  kind: 'teams' | 'slack' | 'cloudevents' | 'mail'

  @description('Chooses the wording, and the events if none are named; `team` if absent.')
  audience: ('users' | 'team' | 'management')?

  @description('Event names parted by commas; those of the audience if absent.')
  events: string?

  @description('For `mail`: resource id of the Communication Services resource; the identity gets the role to send by it.')
  serviceId: string?

  @description('For `mail`: its endpoint, https://<name>.communication.azure.com.')
  endpoint: string?

  @description('For `mail`: sender address, from a verified domain.')
  sender: string?

  @description('For `mail`: addresses that it goes to, parted by commas.')
  recipients: string?
}

@export()
@description('What the deployment has made, as the settings of profiles need it.')
type surroundings = {
  @description('Where secrets are, with the slash at its end.')
  vaultUri: string

  @description('Name of the app\'s identity, which is its login.')
  identityName: string

  @description('Resource id of the new Azure SQL server.')
  sqlServerId: string

  @description('Days of back-ups of a new database.')
  sqlBackupDays: int

  @description('Days for which deleted blobs of the new account can be brought back.')
  filesSoftDeleteDays: int

  @description('Blob endpoint of the new account for files.')
  filesEndpoint: string

  @description('Ending of storage accounts\' host names in this cloud.')
  storageSuffix: string

  @description('Ending of Azure SQL servers\' host names in this cloud, with the dot at its beginning.')
  sqlSuffix: string
}

@description('A reference to a secret, for an app setting.')
func secretReference(made surroundings, secretName string) string =>
  '@Microsoft.KeyVault(SecretUri=${made.vaultUri}secrets/${secretName}/)'

@description('App settings under a prefix; those without a value are left out.')
func prefixed(kind string, name string, settings object) object =>
  toObject(
    filter(items(settings), entry => entry.value != null),
    entry => '${kind}__${toUpper(replace(name, '-', '_'))}__${entry.key}',
    entry => string(entry.value)
  )

@description('Blob endpoint of an existing account.')
func blobEndpoint(made surroundings, accountId string) string =>
  'https://${split(accountId, '/')[8]}.blob.${made.storageSuffix}/'

@description('Resource id of the Azure SQL server that holds a target\'s database; that of the new one if none is named.')
func sqlServerOf(target targetProfile, made surroundings) string => target.?sql.?serverId ?? made.sqlServerId

@description('App settings of a target\'s SQL database.')
func sqlSettings(target targetProfile, made surroundings) object =>
  target.?sql == null
    ? {}
    : {
        SQL__SERVER: target.?sql.?host ?? '${split(sqlServerOf(target, made), '/')[8]}${made.sqlSuffix}'
        SQL__DATABASE: target.?sql.?database
        SQL__USER: target.?sql.?user
        SQL__PASSWORD: target.?sql.?user == null ? null : secretReference(made, 'target-${target.name}-sql-password')
        SQL__ENCRYPT: target.?sql.?encrypt
        SQL__RESOURCE_ID: target.?sql.?scaleUpTo == null || target.?sql.?host != null
          ? null
          : '${sqlServerOf(target, made)}/databases/${target.?sql.?database ?? ''}'
        SQL__BACKUP_DAYS: target.?sql.?serverId == null && target.?sql.?host == null ? made.sqlBackupDays : null
        SQL__SCALE_UP_TO: target.?sql.?host == null ? target.?sql.?scaleUpTo : null
      }

@description('App settings of a target\'s PostgreSQL database.')
func postgresSettings(target targetProfile, made surroundings) object =>
  target.?postgres == null
    ? {}
    : {
        POSTGRES__HOST: target.?postgres.?host
        POSTGRES__PORT: target.?postgres.?port
        POSTGRES__USER: target.?postgres.?user ?? made.identityName
        POSTGRES__PASSWORD: target.?postgres.?usesPassword == true
          ? secretReference(made, 'target-${target.name}-postgres-password')
          : null
        POSTGRES__DATABASE: target.?postgres.?database
        POSTGRES__SSLMODE: target.?postgres.?sslMode
        POSTGRES__SSLROOTCERT: target.?postgres.?sslRootCertificate
        POSTGRES__STORAGE_GB: target.?postgres.?storageGB
        POSTGRES__OWNER: target.?postgres.?owner
      }

@description('App settings of a target app.')
func applicationSettings(target targetProfile, made surroundings) object =>
  target.?app == null
    ? {}
    : {
        APP__KIND: target.?app.?kind
        APP__RESOURCE_ID: target.?app.?resourceId
        APP__URL: target.?app.?kind == 'webhook' ? secretReference(made, 'target-${target.name}-app-url') : null
        APP__SECRET: target.?app.?signed == true ? secretReference(made, 'target-${target.name}-app-secret') : null
        APP__SERVER: target.?app.?server
        APP__NAMESPACE: target.?app.?namespace
        APP__NAME: target.?app.?name
        APP__REPLICAS: target.?app.?replicas
        APP__PATIENCE_MINUTES: target.?app.?patienceMinutes
        APP__TOKEN: target.?app.?server == null ? null : secretReference(made, 'target-${target.name}-app-token')
        APP__CA: target.?app.?certificateAuthority
        APP__ADMIN_URL: target.?app.?adminUrl
        APP__ADMIN_PASSWORD: target.?app.?adminUrl == null
          ? null
          : secretReference(made, 'target-${target.name}-app-admin-password')
        APP__ADDRESS: target.?app.?address
        APP__SMOKE_USER: target.?app.?smokeUser
        APP__SMOKE_PASSWORD: target.?app.?smokeUser == null
          ? null
          : secretReference(made, 'target-${target.name}-app-smoke-password')
      }

@description('App settings of a target\'s container, and of how the target is filled.')
func fillingSettings(target targetProfile, made surroundings) object => {
  KIND: target.?postgres == null ? 'sqlserver' : 'postgres'
  THROW_AWAY: target.?throwAway
  MAX_PARALLEL_CHUNKS: target.?parallelChunks
  MAX_PARALLEL_FILES: target.?parallelFiles
  LOAD: target.?load
  BLOB__ACCOUNT_URL: target.files.?accountId == null
    ? made.filesEndpoint
    : blobEndpoint(made, target.files.?accountId ?? '')
  BLOB__CONTAINER: target.files.container
  BLOB__SOFT_DELETE_DAYS: target.files.?accountId == null ? made.filesSoftDeleteDays : null
}

@export()
@description('App settings of a target profile.')
func targetSettings(target targetProfile, made surroundings) object =>
  prefixed(
    'TARGET',
    target.name,
    union(
      fillingSettings(target, made),
      sqlSettings(target, made),
      postgresSettings(target, made),
      applicationSettings(target, made)
    )
  )

@export()
@description('App settings of a source profile.')
func sourceSettings(source sourceProfile, made surroundings) object =>
  prefixed('SOURCE', source.name, {
    MENDIX_CLOUD__PROJECT_ID: source.?mendixCloud.?projectId
    MENDIX_CLOUD__ENVIRONMENT_ID: source.?mendixCloud.?environmentId
    MENDIX_CLOUD__USERNAME: source.?mendixCloud.?username
    MENDIX_CLOUD__API_KEY: source.?mendixCloud == null
      ? null
      : secretReference(made, 'source-${source.name}-api-key')
    MENDIX_CLOUD__APP_ID: source.?mendixCloud.?appId
    MENDIX_CLOUD__MODE: source.?mendixCloud.?mode
    MENDIX_CLOUD__PERSONAL_ACCESS_TOKEN: source.?mendixCloud.?asksPlatform == true
      ? secretReference(made, 'source-${source.name}-personal-access-token')
      : null
    BLOB__ACCOUNT_URL: source.?accountId == null ? null : blobEndpoint(made, source.?accountId ?? '')
  })

@export()
@description('App settings of a channel. The address of a webhook is the permission to post to it, so it is a secret.')
func channelSettings(one channel, made surroundings) object =>
  prefixed('NOTIFY', one.name, {
    KIND: one.kind
    AUDIENCE: one.?audience
    EVENTS: one.?events
    URL: one.kind == 'mail' ? null : secretReference(made, 'notify-${one.name}-url')
    SECRET: one.kind == 'cloudevents' ? secretReference(made, 'notify-${one.name}-secret') : null
    ENDPOINT: one.?endpoint
    SENDER: one.?sender
    RECIPIENTS: one.?recipients
  })
