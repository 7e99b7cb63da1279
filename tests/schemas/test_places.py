"""Places: one text for all who read predictions on."""

from __future__ import annotations

import pytest

from schemas.places import offsets_of, place_text


def test_a_place_is_the_text_of_its_offsets() -> None:
    """Up to the largest that are taken, in any order of the partitions."""
    offsets = {999_999_999: 0, 0: 10**18 - 1}
    assert offsets_of(place_text(offsets)) == offsets
    assert offsets_of("1:2,0:3") == {0: 3, 1: 2}


@pytest.mark.parametrize("text", ["", "0", "0:1,", "0:-1", "0:1, 1:2", "0:1,0:2", "0:1\n", "0:٣", f"0:{10**18}", f"{10**9}:0"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """A partition twice, other digits, and numbers beyond what Kafka could have, too."""
    with pytest.raises(ValueError, match="0:124,1:456 say"):
        offsets_of(text)
