"""The mirror is found in what apt says of its sources."""

from __future__ import annotations

import pytest

from pipeline.packing.debian import mirror_in

LINE = "'http://{}/dists/{}/InRelease' name 0 \n"


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        ([("m.test/debian", "bookworm"), ("m.test/debian", "bookworm-updates")], "http://m.test/debian"),
        (
            [("t.test/linux/debian", "bookworm"), ("m.test/debian", "bookworm"), ("m.test/debian", "bookworm-updates")],
            "http://m.test/debian",
        ),
        ([("m.test/debian/", "trixie")], "http://m.test/debian/"),
        ([("m.test/ubuntu", "noble"), ("m.test/ubuntu", "noble-updates")], None),
        ([], None),
    ],
)
def test_the_mirror_is_debians_own_and_no_other_archives(sources: list[tuple[str, str]], mirror: str | None) -> None:
    assert mirror_in("".join(LINE.format(*source) for source in sources)) == mirror
