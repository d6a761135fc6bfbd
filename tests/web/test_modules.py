"""The page's modules joined to one script: what each form becomes, and which forms are refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from roomfsm.documents.page_tables import client_folder
from roomfsm.web.modules import FormError, apart, closure, join, without_comments
from roomfsm.web.release import ENTRIES

_CLIENT = client_folder()
SOURCES = {path.relative_to(_CLIENT).as_posix(): path.read_text() for path in _CLIENT.glob("**/*.js")}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_module_of_the_page_has_the_form_that_can_be_joined(entry: str) -> None:
    joined = join(entry, SOURCES)
    assert joined.modules | {entry} == set(closure(entry, SOURCES))
    for name, source in SOURCES.items():
        if name not in joined.modules:
            apart(name, source, entry, joined)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_joined_script_is_javascript(entry: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no node: apt-get install nodejs")
        pytest.skip("no node: apt-get install nodejs")
    script = tmp_path / "joined.mjs"
    script.write_text(join(entry, SOURCES).text)
    done = subprocess.run([node, "--check", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_comes_after_those_that_it_imports_and_gets_what_they_export() -> None:
    sources = {
        "app.js": "import { A as B } from './room/a.js';\nimport { say } from './page/say.js';\nsay(B);\n",
        "room/a.js": "import {\n  E,\n} from '../wire/e.js';\nexport class A extends E {}\n",
        "wire/e.js": "export class E {}\n",
        "page/say.js": "// What it says.\nexport async function say(text) {\n  return text; // at once\n}\n",
    }
    assert join("app.js", sources, shared=True).text.split("\n", 1)[1] == (
        "const $wire$e = (() => {\nclass E {}\nreturn { E };\n})();\n"
        "const $room$a = (() => {\nconst { E } = $wire$e;\nclass A extends E {}\nreturn { A };\n})();\n"
        "const $page$say = (() => {\n"
        "async function say(text) {\nreturn text; // at once\n}\n"
        "return { say };\n})();\n"
        "const { A: B } = $room$a;\nconst { say } = $page$say;\nsay(B);\n"
        "export { $wire$e, $room$a, $page$say };\n"
    )


def test_the_script_exports_what_its_entry_exports() -> None:
    joined = join("roomfsm.js", {"roomfsm.js": "export const VERSION = await 1;\nexport function connect() {}\n"})
    assert "export const VERSION = await 1;\nexport function connect() {}\n" in joined.text
    library = "import { a } from './a.js';\nexport function connect() { return a; }\n"
    sources = {"roomfsm.js": library, "a.js": "export const a = 1;\n"}
    # What the page's later modules get is no part of the library.
    assert re.findall(r"^export .*", join("roomfsm.js", sources).text, re.MULTILINE) == [
        "export function connect() { return a; }"
    ]


def test_a_module_may_list_what_it_exports() -> None:
    sources = {
        "app.js": "import { a, b } from './lib.js';\n",
        "lib.js": "import { a } from './a.js';\nexport const b = 1;\nexport {\n  a,\n};\n",
        "a.js": "export const a = 1;\n",
    }
    assert "const { a } = $a;\nconst b = 1;\nreturn { b, a };\n" in join("app.js", sources).text


def test_a_module_that_comes_when_it_is_needed_shares_the_joined_ones() -> None:
    """Otherwise there would be two classes of one name, and a state in each."""
    sources = {
        "app.js": "import { say } from './page/say.js';\nimport('./page/rare.js').then(say);\n",
        "page/say.js": "export function say(language) {\n  return import(`./words-${language}.js`);\n}\n",
        "page/rare.js": "import { say as tell } from './say.js';\nimport { one } from './one.js';\ntell(one);\n",
        "page/one.js": "export const one = 1;\n",
        "page/words-de.js": "export const DE = {};\n",
    }
    joined = join("app.js", sources)
    assert joined.modules == {"page/say.js"}
    # A dynamic import is relative to the module in which it stands, and not to the script.
    assert "$import('./', './page/rare.js')" in joined.text
    assert "$import('./page/', `./words-${language}.js`)" in joined.text
    assert apart("page/rare.js", sources["page/rare.js"], "app.js", joined) == (
        "import { $page$say } from '../app.js';\nconst { say: tell } = $page$say;\n"
        "import { one } from './one.js';\ntell(one);\n"
    )


def test_indentation_goes_and_templates_stay_as_they_are() -> None:
    sources = {"app.js": "if (true) {\n\n  say(`a\n\n    b ${`c`}\n  `);\n}\n"}
    assert "\nif (true) {\nsay(`a\n\n    b ${`c`}\n  `);\n}\n" in join("app.js", sources).text


def test_comments_go_and_whatever_only_looks_like_one_stays() -> None:
    source = (
        "/**\n * Of several lines. `\n */\n"
        "const link = 'https://example.org/'; // stays\n"
        "  // goes\n"
        "/* goes */\n"
        "/** @type {number} */ (link);\n"
        "const words = `one\n// two\n/* three */\n`;\n"
    )
    assert without_comments("a.js", source) == (
        "const link = 'https://example.org/'; // stays\n"
        "/** @type {number} */ (link);\n"
        "const words = `one\n// two\n/* three */\n`;\n"
    )


@pytest.mark.parametrize(
    "source",
    [
        "export default 1;",
        "export let count = 0;",
        "export * from './other.js';",
        "export { a } from './other.js';",
        "import * as other from './other.js';",
        "import other from './other.js';",
        "import { a } from 'elsewhere';",
        "import { a } from './nothing.js';",
        "import { a } from './a.js';",
        "const words = `\nexport const a = 1;\n`;",
        "const words = `",
        "/* no end",
        "/* several\nlines */ code();",
        "import { a as } from './other.js';",
    ],
)
def test_a_module_of_another_form_is_refused(source: str) -> None:
    with pytest.raises(FormError):
        join("a.js", {"a.js": f"{source}\n", "other.js": "export const a = 1;\n"})


def test_a_name_must_be_exported_as_it_is() -> None:
    sources = {"app.js": "import { b } from './a.js';\n", "a.js": "const a = 1;\nexport { a as b };\n"}
    with pytest.raises(FormError, match="a as b"):
        join("app.js", sources)
