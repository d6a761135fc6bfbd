"""Every parser of what comes from the network, fed with its corpus and with damaged pieces of it.

`tests.fuzz.run` does the same for minutes, guided by coverage.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.fuzz.corpus import FOLDER, seeds
from tests.fuzz.parsers import PARSERS
from tests.fuzz.run import NAMES


def test_every_parser_has_a_corpus_and_a_name() -> None:
    assert sorted(PARSERS) == sorted(NAMES) == sorted(folder.name for folder in FOLDER.iterdir())
    assert all(len(seeds(parser)) > 0 for parser in PARSERS)


@pytest.mark.parametrize(
    ("parser", "name"), [(parser, name) for parser in sorted(PARSERS) for name in seeds(parser)]
)
def test_the_corpus_passes(parser: str, name: str) -> None:
    PARSERS[parser](seeds(parser)[name])


@st.composite
def damaged(draw: st.DrawFn, parser: str) -> bytes:
    """An input of the corpus with some bytes replaced, or one after another's beginning."""
    known = list(seeds(parser).values())
    data = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=6)) + data[at + draw(st.integers(0, 6)) :]
    return data[: draw(st.integers(0, len(data)))] + draw(st.sampled_from(known)) if draw(st.booleans()) else data


@pytest.mark.parametrize("parser", sorted(PARSERS))
def test_no_bytes_break_the_parser(parser: str) -> None:
    @settings(examples(150), suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200) | damaged(parser))
    def fuzz(data: bytes) -> None:
        PARSERS[parser](data)

    fuzz()
