"""A login by the app's identity that the database does not know is refused with the statement that makes the user."""

from shared.azure.users import postgres_user, with_postgres_user
from shared.errors import Finding
from shared.settings import Postgres, TargetPostgres


def finding(code: str = "POSTGRES_LOGIN", message: str = "password authentication failed") -> Finding:
    return Finding(code=code, severity="error", object="pg", message=message, remedy="Look.")


def test_the_statement_quotes_the_name() -> None:
    assert postgres_user(Postgres(host="pg", user="o'brien\"s app")) == (
        "in database postgres: SELECT * FROM pgaadauth_create_principal('o''brien\"s app', false, false); "
        'ALTER ROLE "o\'brien""s app" CREATEDB;'
    )


def test_a_target_wants_rights_in_its_own_database_only() -> None:
    told = postgres_user(TargetPostgres(host="pg", user="app", database="mendix"))
    assert "CREATEDB" not in told
    assert (
        'In database mendix: GRANT CREATE ON DATABASE "mendix" TO "app"; GRANT CREATE, USAGE ON SCHEMA public' in told
    )


def test_a_login_with_a_password_keeps_its_own_remedy() -> None:
    server = Postgres.model_validate({"host": "pg", "user": "app", "password": "secret"})
    assert with_postgres_user(finding(), server).remedy == "Look."


def test_another_trouble_keeps_its_own_remedy() -> None:
    server = Postgres(host="pg", user="app")
    assert with_postgres_user(finding("POSTGRES_UNREACHABLE"), server).remedy == "Look."
    assert with_postgres_user(finding(message="does not support SSL"), server).remedy == "Look."


def test_a_login_by_token_is_told_how_to_make_the_user() -> None:
    told = with_postgres_user(finding(), Postgres(host="pg.example", user="mxf-app-id"))
    assert told.remedy.startswith("As an Entra administrator of pg.example, in database postgres: SELECT * FROM")
