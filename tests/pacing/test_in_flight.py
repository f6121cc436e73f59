from __future__ import annotations

from kling_async.pacing.fair_queue import Line, Obstacle
from kling_async.pacing.in_flight import InFlight, limits_on

ANN, BOB, NOBODY = Line(0, "ann", "m"), Line(3, "bob", "m"), Line(0, None, "m")


def test_without_limits_nothing_is_in_the_way() -> None:
    flying = InFlight()
    for _ in range(1000):
        flying.add(ANN)
    assert (flying.obstacle(ANN), flying.models) == (None, 1)


def test_a_number_holds_for_every_group_by_itself() -> None:
    flying = InFlight(per_group=1)
    flying.add(ANN)
    assert flying.obstacle(ANN) == flying.obstacle(ANN._replace(priority=9)) == Obstacle(limits_on(ANN)[0])
    assert flying.obstacle(BOB) is None
    flying.remove(ANN)
    assert flying.obstacle(ANN) is None


def test_a_mapping_holds_for_whom_it_names() -> None:
    flying = InFlight(per_group={"ann": 2, None: 1}, per_model={"other": 1})
    for line in (ANN, ANN, BOB, BOB, NOBODY):
        assert flying.obstacle(line) is None
        flying.add(line)
    assert [flying.obstacle(line) is None for line in (ANN, BOB, NOBODY)] == [False, True, False]


def test_a_model_is_limited_over_all_groups() -> None:
    flying = InFlight(per_model=2)
    flying.add(ANN)
    flying.add(BOB)
    assert flying.obstacle(NOBODY) == Obstacle(limits_on(NOBODY)[1])
    assert flying.obstacle(ANN._replace(model="other")) is None


def test_what_is_not_in_flight_takes_no_room() -> None:
    flying = InFlight()
    flying.add(ANN)
    flying.remove(ANN)
    assert (flying.models, repr(flying)) == (0, "<InFlight 0 of 0 groups and 0 models>")
