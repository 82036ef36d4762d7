"""Connection strings as users paste them."""

import pytest

from local.odbc import SqlTarget, parse


def test_a_plain_connection_string_is_understood() -> None:
    assert parse("Server=tcp:db.example.com,1433;Database=app;UID=mover;PWD=s3cret") == SqlTarget(
        "db.example.com,1433", "app", "mover", "s3cret"
    )


def test_names_are_known_in_any_case_and_by_their_other_names() -> None:
    found = parse("data source = localhost ; INITIAL CATALOG=app; User Id=sa; Password=x; TrustServerCertificate=YES;")
    assert found == SqlTarget("localhost", "app", "sa", "x", trust=True)


def test_a_value_in_braces_may_hold_semicolons_braces_and_dollar_signs() -> None:
    assert parse("Server=s;Database=d;UID=u;PWD={a;b}}c$d=e}").password == "a;b}c$d=e"


def test_without_user_and_password_the_identity_logs_in() -> None:
    found = parse("Server=s;Database=d;Encrypt=strict")
    assert (found.user, found.password, found.encrypt) == (None, None, "strict")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Server=s", "expected Server and Database, found no database"),
        ("Database=d", "found no server"),
        ("", "found no server and no database"),
        ("Server=s;Database=d;UID=u", "expected UID and PWD together"),
        ("Server=s;Database=d;Sever=x", "found the unknown name 'Sever'"),
        ("Server=s;Database=d;Encrypt=maybe", "expected Encrypt to be yes, no or strict"),
        ("just some text", "expected `name=value` parts"),
    ],
)
def test_a_connection_string_that_is_wrong_is_refused_with_what_is_expected(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse(text)


def test_no_error_and_no_representation_repeats_the_password() -> None:
    with pytest.raises(ValueError, match="unknown name") as refused:
        parse("Server=s;Database=d;UID=u;PWD=hunter2;Nonsense=1")
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(parse("Server=s;Database=d;UID=u;PWD=hunter2"))
