"""A URL is read in one way only, the one in which every library reads it; what is odd goes nowhere."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url
from yarl import URL

from airflow_batchext.batch.clouds import CLOUDS
from airflow_batchext.connection import BatchConnection, account_endpoint_url, origin_of, parse_connection
from airflow_batchext.exceptions import ConnectionFieldsError
from tests.connection.test_connection import FULL, KEY
from tests.connection.test_connection import given as stored
from tests.examples import examples

GOOD = "acct.westeurope.batch.azure.com"
ODD = st.text(
    st.sampled_from(list("\\@/?#:.%[]-_ \t\n\r\0,;&=*!\uff5e\u3002\uff45éßİ\uff10\uff11xX")), max_size=4
)
WORDS = st.sampled_from(
    [GOOD, "evil.example", "127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "443", ""]
)
SCHEMES = st.sampled_from(["https://", "http://", "HTTPS://", "https:/", "//", "ftp://", "file://", ""])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Something like a URL, as an attacker or a typing error would have it."""
    parts = [draw(SCHEMES)]
    for _ in range(draw(st.integers(1, 4))):
        parts += [draw(ODD), draw(WORDS)]
    return "".join([*parts, draw(ODD)])


def readings(url: str) -> set[tuple[str, str, int]]:
    """What the libraries that send requests, or check them, make of it."""
    ports = {"https": 443, "http": 80}
    plain, urllib3, yarl, client = urlsplit(url), parse_url(url), URL(url), httpx.URL(url)
    return {
        (plain.scheme, (plain.hostname or "").lower(), plain.port or ports[plain.scheme]),
        (urllib3.scheme or "", (urllib3.host or "").strip("[]").lower(), urllib3.port or ports[plain.scheme]),
        (yarl.scheme, (yarl.host or "").lower(), yarl.port or 0),
        (client.scheme, client.host.lower(), client.port or ports[plain.scheme]),
    }


@settings(max_examples=examples(600), deadline=None)
@given(texts())
@example(f"https://{GOOD}:443/p?q=1")
@example("http://[::1]:8080")
@example(f"https://{GOOD.upper()}")
@example(f"https://evil.example\\@{GOOD}/")
@example(f"https://{GOOD}\\.evil.example/")
@example(f"https://{GOOD}@evil.example")
def test_what_is_accepted_is_the_same_for_everybody(url):
    try:
        origin = origin_of(url)
    except ValueError:
        return
    assert readings(url) == {(origin.scheme, origin.host, origin.port)}


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example\\@{}",
            "{}@evil.example",
            "{}:443@evil.example",
            "evil.example\\.{}",
            "{}\\evil.example",
        ),
        *(
            "evil.example#.{}",
            "evil.example?.{}",
            "evil.example/.{}",
            "{}.",
            "{}..",
            ".{}",
            "{}:0",
            "{}:99999",
        ),
        *(
            "evil\u3002{}",
            "\uff45vil.{}",
            "ev%69l.{}",
            "evil .{}",
            "evil\t.{}",
            "evil\n.{}",
            "-evil.{}",
            "{}:8443",
        ),
        *(
            "{}.evil.example",
            "evilbatch.azure.com",
            "batch.azure.com",
            ".batch.azure.com",
            "127.0.0.1",
            "[::1]",
        ),
        *("localhost", "0x7f000001", "2130706433", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "evil_x.{}"),
        *(
            "//evil.example",
            "https://evil.example",
            "http://{}",
            "javascript:{}",
            "",
            " ",
            "{}:443:443",
            "user:pw@{}",
        ),
    ],
)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_in_a_known_cloud_nothing_but_its_hosts_is_asked(host, cloud):
    """As the management plane may name it; with a token, or with a key that is looked up."""
    where = f"acct.region{CLOUDS[cloud].batch_suffix}"
    connection = parse_connection(stored(extra={"cloud": cloud, "list_keys": True}))
    assert connection.require_own_host(account_endpoint_url(where)).host == where
    assert connection.require_own_host(account_endpoint_url(where.upper())).host == where
    with pytest.raises(ConnectionFieldsError, match="no token is sent there, and no signature"):
        connection.require_own_host(account_endpoint_url(host.format(where)))


@settings(max_examples=examples(300), deadline=None)
@given(texts(), st.sampled_from(list(CLOUDS.values())))
def test_no_text_leads_out_of_a_known_cloud(url, cloud):
    connection = BatchConnection(conn_id="c", cloud=cloud)
    try:
        origin = connection.require_own_host(account_endpoint_url(url))
    except ConnectionFieldsError:
        return
    assert origin.host.endswith(cloud.batch_suffix)
    assert (origin.scheme, origin.port) == ("https", 443)


def test_this_machine_is_for_a_key_that_is_given_and_a_cloud_of_ones_own():
    url = "http://127.0.0.1:9"
    named = {**FULL, "account_url": url, "account_key_secret": ""}
    for extra, allowed in (
        (named, False),
        ({**named, "list_keys": True}, False),
        ({**named, "account_key_secret": KEY}, True),
        ({**named, "authority": "https://127.0.0.1:8"}, True),
        ({**named, "account_url": "http://127.0.0.1:10", "account_key_secret": KEY}, False),
    ):
        connection = parse_connection(stored(extra=extra))
        if allowed:
            assert str(connection.require_own_host(url)) == url
        else:
            with pytest.raises(ConnectionFieldsError, match="is none of the cloud"):
                connection.require_own_host(url)


def test_in_a_cloud_of_ones_own_its_management_plane_names_its_own_host_alone():
    connection = parse_connection(
        stored(extra={"arm_url": "https://arm.corp:8443", "authority": "https://login.corp"})
    )
    assert str(connection.require_own_host("https://arm.corp:9443")) == "https://arm.corp:9443"
    for url in ("https://acct.corp", "http://arm.corp", "https://127.0.0.1", "https://arm.corp.evil.example"):
        with pytest.raises(ConnectionFieldsError, match="set batch_suffix"):
            connection.require_own_host(url)
    emulated = parse_connection(
        stored(extra={"arm_url": "https://127.0.0.1:1", "authority": "https://127.0.0.1:2"})
    )
    emulated.require_own_host("https://localhost:3")
    with pytest.raises(ConnectionFieldsError):
        emulated.require_own_host("https://evil.example")
    suffix = replace(emulated, cloud=replace(emulated.cloud, batch_suffix="batch.corp"))
    suffix.require_own_host("https://a.batch.corp:8443")
    with pytest.raises(ConnectionFieldsError):
        suffix.require_own_host("https://evilbatch.corp")


@pytest.mark.parametrize("field", ["account_url", "arm_url", "authority"])
@pytest.mark.parametrize(
    "odd", ["\\@evil.example", "@evil.example", "\\", "?x=https://a", "#b", ":0", ".", ":x", "%2e"]
)
def test_odd_urls_of_a_connection_are_refused(field, odd):
    with pytest.raises(ConnectionFieldsError, match=f"{field} (is not an https URL|has more than)"):
        parse_connection(stored(extra={field: f"https://{GOOD}{odd}"}))
