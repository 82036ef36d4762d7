"""The stored procedure that the Mendix runtime calls for AutoNumbers on SQL Server."""

NEXT_SEQUENCE_VALUE_NAME = "usp_nextsequencevalue"

# As the runtime's own synchronisation script makes it (SQL Server has no native sequences in a Mendix database):
# `current_value` is the last number used, and the procedure answers by its return code.
NEXT_SEQUENCE_VALUE = """\
CREATE OR ALTER PROCEDURE [dbo].[usp_nextsequencevalue]
@SeqName nvarchar(128)
AS
BEGIN
DECLARE @NewSeqVal bigint
SET NOCOUNT ON
UPDATE [mendixsystem$sequence]
SET @NewSeqVal = [current_value] = ISNULL([current_value],0) + 1
WHERE [name] = @SeqName
RETURN @NewSeqVal
END"""
