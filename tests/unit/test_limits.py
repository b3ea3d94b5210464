"""Token buckets on literals: so many at once, so many a second, one number each."""

from api.limits import Buckets, Limits, Rate, Rates, address_of, headers_of


def test_a_bucket_has_its_burst_and_fills_again() -> None:
    """Three at once, the fourth waits half a second, and never does anybody wait for another's."""
    buckets = Buckets(Rate(2, 3))
    assert [buckets.take("a", 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a", 100.0) == 0.5
    assert buckets.take("a", 100.25) == 0.25
    assert buckets.take("b", 100.0) == 0.0
    assert buckets.take("a", 100.5) == 0.0
    assert buckets.take("a", 100.5) == 0.5
    assert [buckets.take("a", 110.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_in_the_long_run_no_more_pass_than_the_rate_says() -> None:
    """A minute of requests every millisecond under ten a second and five at once: 604 pass."""
    buckets = Buckets(Rate(10, 5))
    assert sum(buckets.take("a", number / 1000) == 0 for number in range(60_000)) == 604


def test_looking_takes_nothing_and_spending_owes_up_to_a_burst() -> None:
    """`wait` may be asked for ever; what was let in at once and counted later is paid for, up to a burst."""
    buckets = Buckets(Rate(1, 3))
    assert [buckets.wait("a", 0.0) for _ in range(9)] == [0.0] * 9
    buckets.spend("a", 0.0, 2)
    assert buckets.wait("a", 0.0) == 0.0
    buckets.spend("a", 0.0, 1_000)
    assert buckets.wait("a", 0.0) == 4.0
    assert buckets.wait("a", 4.0) == 0.0
    assert [buckets.take("b", 0.0) for _ in range(3)] == [0.0] * 3
    buckets.spend("b", 0.0, 2)
    assert buckets.wait("b", 0.0) == 3.0


def test_buckets_are_forgotten_and_never_grow_without_end() -> None:
    """A hundred thousand addresses leave no more than twenty thousand numbers behind."""
    buckets = Buckets(Rate(1, 3))
    for number in range(100_000):
        assert buckets.take(number, number / 1_000_000) == 0.0
    assert len(buckets._full_at) <= 20_000


def test_guesses_are_counted_in_answers() -> None:
    """Each card that is said not to exist counts for the partner who named it; other refusals do not."""
    limits = Limits(Rates(cards=Rate(1, 2)), lambda: 0.0)
    limits.count_guesses(11, b'{"code":"insufficient_points"}')
    limits.count_guesses(11, b'{"code":"card_unknown"}')
    assert limits.cards.wait(11, 0.0) == 0.0
    limits.count_guesses(11, b'{"code":"recipient_unknown"}\n{"code":"card_unknown"}')
    assert (limits.cards.wait(11, 0.0), limits.cards.wait(12, 0.0)) == (2.0, 0.0)


def test_what_a_429_says() -> None:
    """When to come back, in whole seconds, and which limit was met."""
    assert headers_of("key", Rate(1_000, 2_000), 0.0004) == {
        "retry-after": "1",
        "ratelimit-policy": '"key";q=2000;w=2',
        "ratelimit": '"key";r=0;t=1',
    }


def test_whom_an_address_is() -> None:
    """The peer; of IPv6 the network that one customer has; nothing that a header says."""
    assert address_of(("192.0.2.7", 4711)) == "192.0.2.7"
    assert address_of(("2001:db8:1:2:3:4:5:6", 1)) == address_of(("2001:db8:1:2::9", 2)) == "2001:db8:1:2::"
    assert address_of(("fe80::1%eth0", 1)) == "fe80::"
    assert address_of(("a:b", 1)) == "a:b"
    assert address_of(None) == ""
