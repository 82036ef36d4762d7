using './main.sub.bicep'

// azd sets these from its environment; `azd env set NAME value` sets the rest.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'rehearsal')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param stage = readEnvironmentVariable('MXFERRY_STAGE', 'rehearsal')
param publicAccess = bool(readEnvironmentVariable('MXFERRY_PUBLIC_ACCESS', 'false'))
param allowedAddresses = empty(readEnvironmentVariable('MXFERRY_ALLOWED_ADDRESS', ''))
  ? []
  : [
      readEnvironmentVariable('MXFERRY_ALLOWED_ADDRESS', '')
    ]
param administratorName = readEnvironmentVariable('MXFERRY_ADMIN_NAME', 'mxferry-administrators')
param administratorObjectId = readEnvironmentVariable('MXFERRY_ADMIN_OBJECT_ID', readEnvironmentVariable('AZURE_PRINCIPAL_ID', '00000000-0000-0000-0000-000000000000'))
param administratorType = readEnvironmentVariable('MXFERRY_ADMIN_TYPE', 'Group')
param apiClientId = readEnvironmentVariable('MXFERRY_API_CLIENT_ID', '')
param newMaskSecret = bool(readEnvironmentVariable('MXFERRY_NEW_MASK_SECRET', 'true'))
param durableBackend = readEnvironmentVariable('MXFERRY_DURABLE_BACKEND', 'AzureStorage')
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
