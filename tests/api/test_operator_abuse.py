"""The operator's list of abuse, with reasons; who may release, and who may only read."""

import pytest
from sqlalchemy import Engine

from network.batch import execute
from network.rules import Rules
from tests.api.office import Office
from tests.coalition import new_card, sale, set_up
from tests.people import faults_of

SOURCE = """
name = "watched"
[earn.default]
[expiry]
months = 3
[[abuse]]
id = "many"
says = "More than one sale a day"
watch = "sales"
more_than = 1
then = "hold"
[[abuse]]
id = "more"
says = "More than two sales a day"
watch = "sales"
more_than = 2
then = "flag"
"""


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network that watches for many sales."""
    return set_up(database, source=SOURCE)


def test_the_list_says_why_and_a_release_lets_go(database: Engine, live: Rules, office: Office) -> None:
    """Read page by page by everybody; released by a maker, once; a viewer may not."""
    card = new_card(database, live)
    execute(database, [sale(card, 10_00, name) for name in "abc"], live)
    viewer, maker = office.person("vera", "viewer"), office.person("max", "maker")
    first = viewer.get("/abuse?limit=2")
    rest = viewer.get(f"/abuse?limit=2&cursor={first['next_cursor']}")
    found = first["data"] + rest["data"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [(one["reference"], one["rule"], one["outcome"], one["reason"]) for one in found] == [
        ("b", "many", "held", "2 sales in a day"),
        ("c", "many", "held", "3 sales in a day"),
        ("c", "more", "flagged", "3 sales in a day"),
    ]
    assert [one["reference"] for one in viewer.get("/abuse?rule=more")["data"]] == ["c"]
    held = found[0]["entry"]
    assert viewer.send("POST", f"/abuse/{held}/release").json()["code"] == "not_allowed"
    assert maker.send("POST", f"/abuse/{held}/release").json()["points"] == 10
    assert [one["reference"] for one in maker.get("/abuse?held=true")["data"]] == ["c"]
    assert maker.get("/abuse")["data"][0]["released_by"] == "max"
    assert maker.send("POST", "/abuse/ent_1/release").json()["code"] == "entry_unknown"
    assert maker.post("/staff", card=str(card), partner="grocer")["works"] is True
    assert maker.try_post("/staff", card=str(card), partner="nobody").json()["code"] == "partner_not_found"
    assert faults_of(database) == []
