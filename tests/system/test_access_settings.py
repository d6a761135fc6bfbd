"""Given settings of tokens and tables of policies, they hold, or it is said what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from roomfsm.access.policy import Enter, Policy
from roomfsm.access.settings import AccessSettings
from roomfsm.reload import merge
from roomfsm.settings import Settings, SettingsError, load
from tests.access.keys import SECRET, as_json, key_of, key_set, pem_of

HASH = "$argon2id$v=19$m=65536,t=3,p=4$VqZsRp/rikxp1psrhigCKg$vsLb5f4jCu2bKKya/3ItqSFpQMMcsKYG4BLeHtIeDOA"


def keys(*values: str) -> tuple[str, ...]:
    return load({"token_key": values}, {}).access.token_key


def test_a_key_is_a_secret_or_a_file_or_an_address(tmp_path: Path) -> None:
    files = {
        "secret": SECRET,
        "key.pem": pem_of("RS256", private=False).strip(),
        "key.json": as_json(key_of("EdDSA"), private=True),
        "keys.jwks": key_set(key_of("ES256")),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
        assert keys(str(tmp_path / name)) == keys(f"file:{tmp_path / name}") == (text,)
    assert keys(SECRET) == (SECRET,)
    assert keys(pem_of("ES256", private=True)) == (pem_of("ES256", private=True),)
    for address in ("https://example.org/keys.json", "https://example.org:8443/k?x=1", "http://localhost:8/k"):
        assert keys(address) == (address,)


def test_keys_come_from_the_file_and_the_environment_too(tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text(f"token_key = ['{SECRET}', 'https://example.org/keys']\nrequire_token = true")
    access = load({}, {}, file).access
    assert (access.key_texts, access.key_addresses) == ((SECRET,), ("https://example.org/keys",))
    assert access.require_token
    assert load({}, {"ROOMFSM_TOKEN_KEY": f"{SECRET}, https://a.example/k"}).access.token_key == (
        SECRET,
        "https://a.example/k",
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("short", "at least 32 bytes"),
        ("nofile", "no file has that name, so it was taken as a shared secret"),
        ("/no/such/key/of/more/than/32/characters", "No such file"),
        ("./no-such-key-of-more-than-32-characters", "No such file"),
        ("no-such-key-of-more-than-32-characters.pem", "No such file"),
        ("file:no-such-key", "No such file"),
        ("{}", "neither a JWK"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA", "can be read"),
        ("http://example.org/keys", "must be https://"),
        ("https://", "not the address of a key set"),
        ("https://example.org:99999/", "Port out of range"),
        ("https://[::1/", "Invalid IPv6"),
        ("https://ada:secret@example.org/", "no password"),
        ("https://example.org/#keys", "no fragment"),
        ("https://example.org/a b", "not the address of a key set"),
        ("x" * 5000 + "\x00", None),
    ],
)
def test_what_is_no_key_is_told(value: str, said: str | None) -> None:
    if said is None:
        assert keys(value) == (value,)
        return
    with pytest.raises(SettingsError, match="--token-key") as refused:
        keys(value)
    assert said in str(refused.value)


def test_a_program_that_makes_the_settings_itself_is_told_as_well() -> None:
    with pytest.raises(SettingsError, match="at least 32 bytes"):
        AccessSettings(token_key=("short",))


def test_tokens_cannot_be_required_without_a_key() -> None:
    with pytest.raises(SettingsError, match="nobody could enter"):
        load({"require_token": "true"}, {})


def test_policies_are_tables_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text(
        f'port = 1\n[room."board-*"]\nenter = "password"\npassword = "{HASH}"\n[room.blue]\nlocked = true'
    )
    settings = load({}, {}, file)
    assert settings.server.port == 1
    assert settings.policies == (
        ("board-*", Policy(enter=Enter.PASSWORD, password_hash=HASH)),
        ("blue", Policy(locked=True)),
    )


def test_a_wrong_policy_is_told_with_its_file_its_table_and_its_key(tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text('[room."board-*"]\nenter = "password"\npassword = "correct horse"')
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    assert str(refused.value) == (
        f'{file}: [room."board-*"] password is no Argon2id hash: `roomfsm password` makes one of a password'
    )


def test_keys_and_policies_change_while_the_server_runs() -> None:
    new = Settings(access=AccessSettings(token_key=(SECRET,)), policies=(("blue", Policy(lobby=True)),))
    merged, changed, waiting = merge(Settings(), new)
    assert merged == new
    assert (changed, waiting) == (["--token-key", "[room]"], [])
