"""A Mendix Cloud stand-in: the Backups API v2, the needed part of the Deploy API v1, and pre-signed downloads.

Paths, fields, states and error codes are those of https://docs.mendix.com/apidocs-mxsdk/apidocs/backups-api/ and
https://docs.mendix.com/apidocs-mxsdk/apidocs/deploy-api/. Not documented, and so a choice of ours: the JSON around an
error code, the rate limit (429 with Retry-After), and the form of the download URL (S3's).
"""
