"""What an installation settles at its first start and keeps for good."""

from __future__ import annotations

import secrets

from gateway.secret_box import SecretBox
from gateway.settings_types import BadSettings, Settings
from gateway.store.keys import META, PARTITIONS
from gateway.store.scripts import Scripts


async def installation(scripts: Scripts, settings: Settings) -> bytes:
    """Record the number of partitions and the key of address hashes at the first start; return that key.

    The key is random and stays, so that withdrawals keep binding when SECRET_KEY changes; it lies in Redis sealed with
    SECRET_KEY. Raises BadSettings when the store is of another make or its key can't be opened.
    """
    send = scripts.urgent.send
    box = SecretBox(settings.secret_key, settings.secret_key_old)
    await send("HSETNX", META, "partitions", PARTITIONS)
    await send("HSETNX", META, "pepper", box.seal(secrets.token_bytes(32)))
    stored = int(await send("HGET", META, "partitions"))
    if stored != PARTITIONS:
        raise BadSettings([f"This Redis holds an installation of {stored} partitions; this release uses {PARTITIONS}."])
    sealed: bytes = await send("HGET", META, "pepper")
    pepper = box.open(sealed)
    if pepper is None:
        raise BadSettings(
            ["SECRET_KEY is not the one this Redis was set up with. Give that one as SECRET_KEY_OLD to change it."]
        )
    if settings.secret_key_old is not None:
        await send("HSET", META, "pepper", box.renew(sealed))
    return pepper
