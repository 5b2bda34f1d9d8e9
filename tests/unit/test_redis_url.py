from __future__ import annotations

import re

import pytest

from gateway.redis_url import parse_redis_url


@pytest.mark.parametrize(
    "url,where",
    [
        ("redis://h", "redis://h:6379"),
        ("rediss://u:p@h:1/2?ca_file=/ca.pem", "rediss://h:1"),
        ("redis://[::1]:5", "redis://[::1]:5"),
        ("unix:///a%20b.sock", "unix:///a b.sock"),
        ("redis+sentinel://:p@a,b:2/main/1?sentinel_password=x", "redis+sentinel://a:26379,b:2/main"),
        ("rediss+cluster://a:1,b", "rediss+cluster://a:1,b:6379"),
    ],
)
def test_redis_addresses(url: str, where: str) -> None:
    target = parse_redis_url(url)
    assert target.where == where
    assert repr(target) == f"RedisTarget({where})"


@pytest.mark.parametrize(
    "url,complaint",
    [
        ("h:6379", "must begin with one of"),
        ("redis://", "names no host"),
        ("redis://h:x", "can't be read"),
        ("redis://h/x", "isn't a number"),
        ("redis://h/1/2", "means nothing here"),
        ("redis://a,b", "several hosts"),
        ("redis://h?ssl=1", "unknown option 'ssl'; known here: db"),
        ("unix://h/x", "three slashes"),
        ("redis+sentinel://h", "names no master"),
        ("redis+cluster://h/1", "means nothing here"),
    ],
)
def test_bad_redis_addresses(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_redis_url(url)
