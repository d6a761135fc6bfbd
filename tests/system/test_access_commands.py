"""Given the settings of a server, `roomfsm token` makes what it accepts, and `roomfsm password` what it checks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roomfsm.access.grant import Grant
from roomfsm.access.keys import read_keys
from roomfsm.access.passwords import hash_fault, is_password
from roomfsm.access.tokens import TokenRules, verify
from roomfsm.cli import main
from roomfsm.protocol.roles import Role
from tests.access.keys import SECRET, as_json, key_of, key_set, pem_of


def roomfsm(*arguments: str, **environment: str) -> Result:
    return CliRunner(env={"ROOMFSM_CONFIG": None, "ROOMFSM_TOKEN_KEY": None, **environment}).invoke(
        main, arguments, prog_name="roomfsm"
    )


def granted(result: Result, key: str = SECRET, rules: TokenRules | None = None) -> Grant:
    assert result.exit_code == 0, result.output
    return verify(result.stdout.splitlines()[0], read_keys(key), rules or TokenRules(), time.time())


def test_the_token_comes_first_and_then_its_link() -> None:
    result = roomfsm(
        *("token", "--room", "Blue", "--role", "moderator", "--name", "Ada L", "--ttl", "2h", "--subject", "ada"),
        ROOMFSM_TOKEN_KEY=SECRET,
    )
    grant = granted(result)
    assert (grant.room, grant.role, grant.name, grant.subject) == ("Blue", Role.MODERATOR, "Ada L", "ada")
    assert grant.expires == pytest.approx(time.time() + 7200, abs=120)
    token, link = result.stdout.splitlines()
    assert link == f"http://localhost:8080/r/Blue#token={token}"


def test_little_needs_to_be_said() -> None:
    grant = granted(roomfsm("token", "--room", "blue", "--token-key", SECRET))
    assert (grant.role, grant.name, grant.subject) == (Role.PRESENTER, None, None)


@pytest.mark.parametrize(
    ("arguments", "environment", "base"),
    [
        (["--url", "https://rooms.example.org"], {}, "https://rooms.example.org/"),
        (["--url", "https://rooms.example.org/path/"], {}, "https://rooms.example.org/path/"),
        ([], {"ROOMFSM_PORT": "9000"}, "http://localhost:9000/"),
        ([], {"ROOMFSM_HOST_NAME": "*.example.org, a.example.org"}, "https://a.example.org/"),
        (
            [],
            {"ROOMFSM_HOST_NAME": "a.example.org", "ROOMFSM_PATH_PREFIX": "/rooms"},
            "https://a.example.org/rooms/",
        ),
    ],
)
def test_the_link_has_the_address_of_the_settings_or_the_one_given(
    arguments: list[str], environment: dict[str, str], base: str
) -> None:
    result = roomfsm("token", "--room", "房间", "--token-key", SECRET, *arguments, **environment)
    token, link = result.stdout.splitlines()
    assert link == f"{base}r/%E6%88%BF%E9%97%B4#token={token}"


def test_a_token_for_several_rooms_has_no_link() -> None:
    result = roomfsm("token", "--room", "board-*", "--token-key", SECRET)
    assert granted(result).room == "board-*"
    assert len(result.stdout.splitlines()) == 1
    assert "several rooms" in result.stderr


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_private_key_signs_what_its_public_key_verifies(algorithm: str, tmp_path: Path) -> None:
    pem, jwk = tmp_path / "key.pem", tmp_path / "key.json"
    pem.write_text(pem_of(algorithm, private=True))
    jwk.write_text(as_json(key_of(algorithm), private=True))
    assert granted(roomfsm("token", "--room", "a", "--token-key", str(pem)), pem_of(algorithm, private=False))
    assert granted(roomfsm("token", "--room", "a", "--token-key", str(jwk)), key_set(key_of(algorithm)))


def test_the_settings_file_has_the_key_and_the_audience(tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    public = as_json(key_of("ES256"), private=False)
    file.write_text(f"token_key = ['{public}', '{SECRET}']\ntoken_audience = ['rooms', 'more']")
    rules = TokenRules(audience=("rooms",))
    assert granted(roomfsm("token", "--room", "a", "--config", str(file)), SECRET, rules)
    assert granted(roomfsm("token", "--room", "a", ROOMFSM_CONFIG=str(file)), SECRET, rules)


@pytest.mark.parametrize(("ttl", "seconds"), [("90s", 90), ("90", 90), ("5m", 300), ("7d", 604_800)])
def test_a_token_lives_as_long_as_is_said(ttl: str, seconds: int) -> None:
    grant = granted(roomfsm("token", "--room", "a", "--token-key", SECRET, "--ttl", ttl))
    assert grant.expires == pytest.approx(time.time() + seconds, abs=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--room", "a"], "roomfsm: there is no key: set --token-key"),
        (["--room", "a", "--token-key", "short"], "roomfsm: --token-key: no file has that name"),
        (["--room", "a", "--token-key", "https://example.org/keys"], "roomfsm: none of the keys"),
        (["--room", "a b", "--token-key", SECRET], "roomfsm: A room name has no spaces"),
        (["--room", "a", "--name", " ", "--token-key", SECRET], "roomfsm: A name needs"),
        (["--room", "a", "--subject", "", "--token-key", SECRET], "roomfsm: --subject"),
        (["--room", "a", "--role", "admin", "--token-key", SECRET], "'admin' is not one of 'viewer'"),
        (["--room", "a", "--ttl", "2 weeks", "--token-key", SECRET], "'2 weeks' is no time such as 2h"),
        (["--room", "a", "--ttl", "0", "--token-key", SECRET], "'0' is no time such as 2h"),
        (["--room", "a", "--ttl", "3651d", "--token-key", SECRET], "'3651d' is no time such as 2h"),
        (["--room", "a", "--url", "example.org", "--token-key", SECRET], "roomfsm: --url: example.org"),
        (["--room", "a", "--config", "/no/such/file", "--token-key", SECRET], "No such file"),
        ([], "Missing option '--room'"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(arguments: list[str], said: str) -> None:
    result = roomfsm("token", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_public_key_cannot_sign_and_that_is_told() -> None:
    result = roomfsm("token", "--room", "a", "--token-key", pem_of("RS256", private=False))
    assert result.exit_code == 2
    assert "none of the keys of --token-key can sign, because they are public" in result.stderr


def test_the_hash_of_a_password_is_printed() -> None:
    result = CliRunner().invoke(main, ["password"], input="correct horse\n", prog_name="roomfsm")
    made = result.stdout.strip()
    assert hash_fault(made) is None
    assert is_password("correct horse", made)


@pytest.mark.parametrize("text", ["", "\n", "x" * 129 + "\n"])
def test_a_password_has_some_characters_but_not_any_number(text: str) -> None:
    result = CliRunner().invoke(main, ["password"], input=text, prog_name="roomfsm")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "1 to 128 characters" in result.stderr
