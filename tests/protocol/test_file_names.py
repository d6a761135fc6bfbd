"""Given the name that a file has at its sender, then it gets a name that every computer can save."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roomfsm.protocol.file_names import MAX_BYTES, file_name

LONG = "x" * 300


@pytest.mark.parametrize(
    "name",
    [
        "report.pdf",
        "Übersicht (final).docx",
        "résumé.txt",
        "عرض تقديمي.pptx",
        "会議の議事録.md",
        "می\u200cخواهم.txt",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467.png",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f.png",
        "archive.tar.gz",
        "no extension",
        "O'Brien & Söhne; 100% #1.txt",
        "console.log",
        "com10.txt",
    ],
)
def test_a_good_name_stays(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u2067a\u2069\u200f\u061cb.txt", "ab.txt"),
        ("\ufeffa\u200bb\u00adc.txt", "abc.txt"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\Windows\\system.ini", "C__Windows_system.ini"),
        ('a<b>:"c"|d?*.txt', "a_b___c__d__.txt"),
        ("line\nbreak\ttab\x00\x7f\x85.txt", "line_break_tab___.txt"),
        ("a\u2028b\u2029c", "a_b_c"),
        (".htaccess", "htaccess"),
        ("...", "file"),
        ("trailing. . ", "trailing"),
        ("  spaces.txt  ", "spaces.txt"),
        (". .bashrc", "bashrc"),
        (". . .x", "x"),
        ("a.\u3000.", "a"),
        ("\u3164", "file"),
        ("a\u3164\u2800\u034fb", "ab"),
        ("\U000e0041.\ufe0f", "file"),
        ("", "file"),
        ("\u202e", "file"),
        ("///", "file"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("Com1.log", "_Com1.log"),
        ("lpt³", "_lpt³"),
        ("Zu\u0308rich.txt", "Zürich.txt"),
        (f"{LONG}.pdf", "x" * 251 + ".pdf"),
        (f"a.{LONG}", "a." + "x" * 253),
        ("é" * 200 + ".txt", "é" * 125 + ".txt"),
    ],
)
def test_another_name_is_mended(given_name: str, kept: str) -> None:
    assert file_name(given_name) == kept


@example(". . .x")
@example("a.\u3000.")
@given(st.text(st.characters(codec=None), max_size=300))
def test_whatever_the_name_was_it_can_be_saved_and_is_never_mended_twice(text: str) -> None:
    name = file_name(text)
    assert 0 < len(name.encode()) <= MAX_BYTES
    assert not set(name) & set('/\\:*?"<>|\x00\n')
    assert not any(
        unicodedata.bidirectional(character) in ("LRO", "RLO", "LRE", "RLE", "PDF") for character in name
    )
    assert not name.startswith(".")
    assert name == name.strip()
    assert not name.endswith(".")
    assert file_name(name) == name
