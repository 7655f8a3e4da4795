import pytest

from hosting.address import AddressRefused, Allowed, checked, followed, is_public

NOBODY = Allowed()
SANDBOX = Allowed.of("localhost:7405, 127.0.0.1:7405")


@pytest.mark.parametrize(
    "url",
    [
        "https://ca@169.254.169.254/",
        "https://user:word@ca.example/",
        "https://ca.example@evil.example/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://169.254.169.254/",
        "https://8.8.8.8/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
        "https://ca.example./",
        "https://cа.example/",
        "https://ca。example/",
        "https://①.example/",
        "https://localhost/",
        "https://kafka/",
        "http://ca.example/",
        "ftp://ca.example/",
        "file:///etc/passwd",
        "//ca.example/",
        "https:///a",
        "https://ca.example:22/",
        "https://ca.example:9092/",
        "https://ca.example:99999/",
        "https://ca.example:port/",
        "https://ca.example/a?b=c",
        "https://ca.example/a?",
        "https://ca.example/a#b",
        "https://ca.example/../a",
        "https://ca.example/%2e%2e/a",
        "https://ca.example\\@evil.example/",
        "https://ca.example/ a",
        "https://ca.example/\r\nHost: evil",
        "https://ca.example/\t",
        "https://-ca.example/",
        "https://ca..example/",
        "",
    ],
)
def test_an_address_that_is_not_plainly_public_https_is_refused_and_the_field_named(url):
    with pytest.raises(AddressRefused) as refusal:
        checked(url, NOBODY, "issuer")
    assert refusal.value.field == "issuer"
    assert refusal.value.rule


@pytest.mark.parametrize("url", ["https://ca.example", "https://ca.example:8443/a/csc/v2", "https://ca-1.example.com:443/x"])
def test_a_public_https_address_passes(url):
    assert checked(url, NOBODY) == url


@pytest.mark.parametrize("url", ["http://localhost:7405/a", "http://127.0.0.1:7405/a/csc/v2"])
def test_plain_http_on_loopback_passes_only_where_the_setting_names_host_and_port(url):
    assert checked(url, SANDBOX) == url
    with pytest.raises(AddressRefused):
        checked(url, NOBODY)


@pytest.mark.parametrize("url", ["http://localhost:7406/a", "http://localhost/a", "http://127.0.0.2:7405/", "http://[::1]:7405/"])
def test_the_setting_opens_no_neighbouring_port_or_host(url):
    with pytest.raises(AddressRefused):
        checked(url, SANDBOX)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "::7f00:1",
        "fec0::1",
        "no address",
    ],
)
def test_no_private_address_is_public_in_any_wrapping(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_a_global_address_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "http://ca.example/", "https://ca.example@evil.example/", "//a.b", "/a", ""],
)
def test_a_link_that_runs_or_misleads_is_not_shown_to_people(url):
    with pytest.raises(AddressRefused, match="client_account_url"):
        followed(url, NOBODY, "client_account_url")


def test_a_link_for_people_may_have_a_query_and_a_fragment():
    assert (
        followed("https://ca.example/a?lang=pt#/account", NOBODY, "client_account_url") == "https://ca.example/a?lang=pt#/account"
    )


def test_what_is_signed_itself_may_come_over_plain_http_from_a_public_name():
    assert checked("http://ocsp.ca.example/a", Allowed(), signed=True) == "http://ocsp.ca.example/a"
    for url in ("http://ocsp.ca.example:8080/a", "http://10.0.0.1/a", "ftp://ca.example/list.crl", "http://localhost/a"):
        with pytest.raises(AddressRefused):
            checked(url, Allowed(), signed=True)
