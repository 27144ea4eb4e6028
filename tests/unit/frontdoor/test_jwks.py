"""Which keys of a published set may sign tokens, and what becomes of keys when the set changes."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from frontdoor.jwks import JwksInvalid, KeyRing, read_keys
from tests.unit.frontdoor.keys import FAMILIES, jwk, jwks, private_key


def test_a_key_signs_with_the_one_algorithm_of_its_kind() -> None:
    published = [jwk(algorithm, name=f"k-{algorithm}") for algorithm in FAMILIES]
    unsaid = [{member: value for member, value in each.items() if member not in ("alg", "use")} for each in published]
    for keys in (published, unsaid):
        assert {key.name: key.algorithm for key in read_keys(jwks(*keys)).values()} == {f"k-{name}": name for name in FAMILIES}


SMALL: dict[str, Any] = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
PASSED_OVER: dict[str, dict[str, Any]] = {
    "for encryption": jwk("RS256", "k", use="enc"),
    "not for verifying": jwk("RS256", "k", key_ops=["encrypt"]),
    "operations no list": jwk("RS256", "k", key_ops=5),
    "another hash": jwk("RS256", "k", alg="RS512"),
    "another padding": jwk("RS256", "k", alg="PS256"),
    "algorithm of another kind": jwk("RS256", "k", alg="ES256"),
    "algorithm of a secret": jwk("RS256", "k", alg="HS256"),
    "algorithm none": jwk("RS256", "k", alg="none"),
    "algorithm no text": jwk("RS256", "k", alg=5),
    "kind unknown": jwk("RS256", "k", kty="AKP"),
    "kind no text": jwk("RS256", "k", kty=["RSA"]),
    "kind missing": {"kid": "k"},
    "curve unknown": jwk("ES256", "k", crv="P-384"),
    "curve of another kind": jwk("ES256", "k", crv="Ed25519"),
    "curve no text": jwk("ES256", "k", crv={}),
    "not on the curve": jwk("ES256", "k", x=jwk("ES256")["y"]),
    "number no text": jwk("RS256", "k", n=5),
    "number missing": {member: value for member, value in jwk("RS256", "k").items() if member != "n"},
    "number no base64": jwk("RS256", "k", n="!"),
    "point too short": jwk("EdDSA", "k", x="AAAA"),
    "RSA of 1,024 bits": {**SMALL, "key_ops": None, "kid": "k"},
    "name like a path": jwk("ES256", "../k"),
    "name with a quote": jwk("ES256", "k'"),
    "name empty": jwk("ES256", ""),
    "name no text": jwk("ES256", kid=5),
    "name too long": jwk("ES256", "k" * 129),
}


@pytest.mark.parametrize("key", PASSED_OVER.values(), ids=PASSED_OVER)
def test_a_key_that_is_not_for_this_is_passed_over_and_the_others_are_read(key: dict[str, Any]) -> None:
    assert list(read_keys(jwks(key, jwk("EdDSA", "good")))) == ["good"]


NO_SETS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>",
    "bad UTF-8": b'{"keys":"\xff"}',
    "no object": b"[]",
    "no keys": b"{}",
    "keys no list": b'{"keys":{}}',
    "a key no object": b'{"keys":["k"]}',
    "deep": b'{"keys":' + b"[" * 100_000,
    "private RSA": jwks(jwk("RS256", "k", d="AQ")),
    "private EdDSA": jwks(jwk("EdDSA", "k", d="AQ")),
    "a prime alone": jwks(jwk("RS256", "k", p="AQ")),
    "a secret": jwks({"kty": "oct", "k": "c2VjcmV0", "kid": "k"}),
    "a secret beside a good one": jwks(jwk("ES256", "k"), {"kty": "oct", "kid": "s"}),
    "one name twice": jwks(jwk("ES256", "k"), jwk("EdDSA", "k")),
    "two without a name": jwks(jwk("ES256"), jwk("EdDSA")),
}


@pytest.mark.parametrize("document", NO_SETS.values(), ids=NO_SETS)
def test_a_set_that_is_none_or_tells_secrets_is_refused_whole(document: bytes) -> None:
    with pytest.raises(JwksInvalid):
        read_keys(document)


def test_a_key_that_stays_is_the_same_and_one_that_went_is_not_held() -> None:
    ring = KeyRing()
    assert ring.replace(read_keys(jwks(jwk("ES256", "a"), jwk("ES256", "b", 1))))
    a, b = ring.keys["a"], ring.keys["b"]  # type: ignore[index]
    assert not ring.replace(read_keys(jwks(jwk("ES256", "b", 1), jwk("ES256", "a"))))
    assert ring.holds(a)
    assert ring.holds(b)
    assert ring.replace(read_keys(jwks(jwk("ES256", "b", 1))))
    assert not ring.holds(a)
    assert ring.holds(b)
    assert ring.replace({})
    assert not ring.holds(b)


def test_another_key_under_a_known_name_is_another_key() -> None:
    ring = KeyRing(read_keys(jwks(jwk("RS256", "k"))))
    before = ring.keys["k"]  # type: ignore[index]
    assert ring.replace(read_keys(jwks(jwk("RS256", "k", 1))))
    assert not ring.holds(before)
    assert private_key("RS256") is not private_key("RS256", 1)
