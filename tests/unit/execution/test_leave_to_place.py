"""How long an order may wait for leave: never so long that its fate could be in doubt."""

import pytest

from goalkick.execution.settings import VenueSettings


@pytest.mark.parametrize(
    ("asked", "timeout", "found"), [("1s", "5s", 1.0), ("5s", "5s", 5.0), ("6s", "5s", 5.0)]
)
def test_an_order_waits_for_leave_no_longer_than_for_its_answer(
    asked: str, timeout: str, found: float
) -> None:
    settings = VenueSettings.model_validate({"leave_within": asked, "timeout": timeout})
    assert settings.leave_within_s == found
