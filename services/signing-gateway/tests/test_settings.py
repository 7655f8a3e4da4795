import pytest
from pydantic import ValidationError

from signing_gateway.settings import Settings


@pytest.fixture
def told(tmp_path):
    def settings(**changes):
        told = {
            "service_key": "x",
            "service_keys": tmp_path / "keys.json",
            "listen_port": 1,
            "admin_port": 2,
            "public_url": "https://sign.example",
            "grant_monitor_url": "http://monitor",
            "ca_connector_url": "http://connector",
            "token_key": "x",
        }
        return Settings(**{**told, **changes})

    return settings


TLS = {"tls_port": 3, "tls_certificate": "s.pem", "tls_key": "s.key"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "TLS_PORT, or TRUSTED_PROXIES"),
        ({"tls_port": 3}, "TLS_PORT, TLS_CERTIFICATE and TLS_KEY"),
        (TLS, "CLIENT_AUTHORITIES"),
        ({**TLS, "client_certificates": "optional", "client_revocation_lists": "http://x"}, "CLIENT_AUTHORITIES"),
        ({"trusted_proxies": "10.0.0.0/99"}, "10.0.0.0/99"),
        ({"trusted_proxies": "10.0.0.7", "proxy_header": "X-Client-Cert"}, "proxy_header"),
        ({"plain_http": True, "client_certificates": "never"}, "client_certificates"),
    ],
)
def test_a_gateway_that_nobody_could_reach_safely_does_not_start(told, changes, named):
    with pytest.raises(ValidationError, match=named):
        told(**changes)


def test_client_certificates_are_required_and_plain_http_is_refused_unless_told_otherwise(told):
    settings = told(**TLS, client_authorities="ca.pem")
    assert (settings.client_certificates, settings.plain_http, bool(settings.proxies)) == ("required", False, False)


def test_a_proxy_that_ends_tls_makes_a_port_of_ours_needless(told):
    assert told(trusted_proxies="10.0.0.7").tls() is None
