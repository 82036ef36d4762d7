"""HTTP routes, as ASP.NET writes and matches them."""

import pytest

from local.host.routing import Route
from local.host.settings import HostError


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("migrations", "migrations", {}),
        ("migrations", "/Migrations/", {}),
        ("migrations/{id}", "migrations/a%20b", {"id": "a b"}),
        ("migrations/{id}", "migrations", None),
        ("migrations/{id}", "migrations/a/b", None),
        ("migrations/{id?}", "migrations", {}),
        ("migrations/{id?}", "migrations/a", {"id": "a"}),
        ("migrations/{id}/approve", "migrations/a/approve", {"id": "a"}),
        ("files/{*path}", "files/a/b/c", {"path": "a/b/c"}),
        ("files/{*path}", "files", {}),
        ("{*path}", "", {}),
        ("{**path}", "a/b", {"path": "a/b"}),
        ("page/{n:int}", "page/12", {"n": "12"}),
        ("page/{n:int}", "page/twelve", None),
        ("page/{n:int?}", "page", {}),
        ("u/{id:guid}", "u/3f2504e0-4f89-11d3-9a0c-0305e82c3301", {"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}),
        ("u/{id:guid}", "u/3f2504e0", None),
        ("w/{word:alpha:minlength(3)}", "w/ab", None),
        ("w/{word:alpha:minlength(3)}", "w/abc", {"word": "abc"}),
        ("y/{year:range(2000,2100)}", "y/1999", None),
        ("y/{year:range(2000,2100)}", "y/2026", {"year": "2026"}),
        ("c/{code:regex(^[a-z]{{2}}$)}".replace("{{", "{").replace("}}", "}"), "c/nl", {"code": "nl"}),
        ("c/{code:length(2)}", "c/nld", None),
        ("c/{code:max(5)}", "c/6", None),
        ("c/{code:max(5)}", "c/5", {"code": "5"}),
    ],
)
def test_a_route_matches_what_it_says(template: str, path: str, parameters: dict[str, str] | None) -> None:
    assert Route(template).match(path) == parameters


def test_the_more_specific_route_comes_first() -> None:
    routes = [Route(text) for text in ("{*path}", "m/{id}", "m/{id:int}", "m/new")]
    assert [route.template for route in sorted(routes, key=lambda one: one.precedence)] == [
        *("m/new", "m/{id:int}", "m/{id}", "{*path}")
    ]


@pytest.mark.parametrize(
    ("template", "trouble"),
    [
        ("{*path}/more", "'path' may only be the last segment"),
        ("m/{id:shoe}", "does not know the constraint 'shoe'"),
        ("m/v{id}", "mixes text and a parameter"),
    ],
)
def test_a_route_that_this_host_cannot_serve_is_refused(template: str, trouble: str) -> None:
    with pytest.raises(HostError, match=trouble.replace("*", r"\*")):
        Route(template)
