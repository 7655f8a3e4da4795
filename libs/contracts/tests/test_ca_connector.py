import pytest
from pydantic import ValidationError

from contracts.ca_connector import AccessPolicy, NewCertificateAuthority


def test_a_policy_may_warn_until_just_before_it_begins():
    assert AccessPolicy(lifetime_s=7_200, warn_before_s=7_199).warn_before_s == 7_199


@pytest.mark.parametrize("policy", [{"lifetime_s": 7_200, "warn_before_s": 7_200}, {"lifetime_s": 7_200}])
def test_a_policy_that_would_warn_from_its_first_instant_is_refused_by_the_name_of_the_field(policy):
    profile = {"name": "A", "issuer": "i", "csc_url": "c", "client_id": "s", "client_secret": "canary", "policy": policy}
    with pytest.raises(ValidationError) as refused:
        NewCertificateAuthority.model_validate(profile)
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("policy", "warn_before_s")
    assert "less than lifetime_s (7200)" in fault["msg"]
    assert "canary" not in str(refused.value)
