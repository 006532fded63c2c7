"""Where a server is, from what users write."""

from __future__ import annotations

import pytest

from whet.client.place import place_of
from whet.errors import OptionError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:8000", "http://localhost:8000"),
        ("http://models.example/deep/er/", "http://models.example:80/deep/er"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("https://models.example", "https://models.example:443"),
        ("unix:/run/whet.sock", "unix:/run/whet.sock"),
        ("unix:///run/whet.sock", "unix:/run/whet.sock"),
    ],
)
def test_places(url: str, shown: str) -> None:
    assert str(place_of(url)) == shown


@pytest.mark.parametrize(
    "url",
    ["", "http://", "ftp://a", "http://a:port", "http://a:99999", "http://a/?x", "http://a#b"],
)
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(OptionError):
        place_of(url)


@pytest.mark.parametrize("url", ["https://a", "http://a", "unix:/a"])
def test_certificates_that_arent_there_or_arent_asked_for(url: str) -> None:
    with pytest.raises(OptionError):
        place_of(url, "gone.pem")
