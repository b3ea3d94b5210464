"""Great-circle distances between airports (pure: the table of airports is a constant of a pinned package).

The only place where floats stand near points: the sine of an angle has no exact value. What leaves here is a
whole number of metres, which the sale's record keeps, so that no later table or processor changes what a
flight once earned.
"""

from functools import lru_cache
from math import asin, cos, radians, sin, sqrt

import airportsdata

EARTH_METRES = 6_371_008.8
"""Mean radius of the earth (IUGG)."""
METRES_A_MILE = 1_609_344
"""In thousandths."""


@lru_cache(maxsize=1)
def _airports() -> dict[str, airportsdata.Airport]:
    return airportsdata.load("IATA")


@lru_cache(maxsize=8192)
def metres_between(origin: str, destination: str) -> int | None:
    """The great circle between two airports in whole metres; None where one is not known.

    Args:
        origin: IATA code.
        destination: IATA code.
    """
    known = _airports()
    one, other = known.get(origin), known.get(destination)
    if one is None or other is None:
        return None
    south, north = radians(one["lat"]), radians(other["lat"])
    chord = (
        sin((north - south) / 2) ** 2
        + cos(south) * cos(north) * sin(radians(other["lon"] - one["lon"]) / 2) ** 2
    )
    return round(2 * EARTH_METRES * asin(min(1.0, sqrt(chord))))


def whole_miles(metres: int) -> int:
    """Statute miles, half up."""
    return (2 * metres * 1000 + METRES_A_MILE) // (2 * METRES_A_MILE)


def whole_kilometres(metres: int) -> int:
    """Kilometres, half up."""
    return (metres + 500) // 1000
