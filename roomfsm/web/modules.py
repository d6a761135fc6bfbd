"""Joins the page's JavaScript modules to one script, so that a browser asks once and not eighty times.

Theory. Modules that import each other without circles can be written one after the other, each after those that it
imports. Each becomes a function that is called at once and returns what the module exports, so that names of
different modules do not meet, and an import becomes the destructuring of such a result:

    const $page$say = (() => {
    const { EN } = $page$words_en;
    …
    return { say };
    })();

That is right for modules of a plain form: imports and exports stand at the beginnings of lines, imports are
`import { a, b as c } from './x.js';`, and exports are `export const`, `export function`, `export class` or
`export { a, b };`, and are never assigned to again. Our modules have this form, and a test holds them to it. A
module of another form is a `FormError`, and then the page is served in modules, which takes longer and works as
well. This is not a parser of JavaScript: there is no well-kept one for Python, and the page must need no Node.

The entry is not made a function, so that it alone may `await` at its top.

Two modules of one name must never exist in a page, because each would have a state and classes of its own. So a
module that is not joined, because the page imports it only when it is needed (`import('./x.js')`), gets the joined
ones from the joined script (`apart`). What is dynamic is looked up from the place of the module that asks for it.

Comments that fill whole lines, which are two fifths of the text, and indentation are left out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_IMPORT = re.compile(r"^import (?:\{([^{}]*)\} from )?'(\.{1,2}/[^'\n]+)';\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) ([\w$]+))", re.MULTILINE)
_EXPORTS = re.compile(r"^export \{([^{}]*)\};\n", re.MULTILINE)
_UNKNOWN = re.compile(r"^(?:import\b(?!\(|\.)|export\b).*", re.MULTILINE)
_DYNAMIC = re.compile(r"\bimport\(")

_HELPER = "const $import = (from, name) => import(new URL(name, new URL(from, import.meta.url)).href);\n"
"""In the joined script: imports a module dynamically, whose name is relative to the folder `from`."""


class FormError(Exception):
    """A module does not have the form that can be joined."""


@dataclass(frozen=True, slots=True)
class Joined:
    """An entry and all that it imports statically, as one script."""

    text: str
    modules: frozenset[str]
    """The names of the modules in it, without the entry."""


def closure(entry: str, sources: Mapping[str, str]) -> list[str]:
    """The modules that `entry` imports statically, each after those that it imports itself; `entry` is the last.

    Raises `FormError` for a module that does not exist and for a circle.
    """
    order: list[str] = []
    open_: set[str] = set()

    def visit(name: str) -> None:
        if name in order:
            return
        if name in open_:
            raise FormError(f"{name} imports itself, by way of others")
        if name not in sources:
            raise FormError(f"there is no module {name}")
        open_.add(name)
        for imported in _IMPORT.finditer(sources[name]):
            visit(_resolved(name, imported[2]))
        order.append(name)

    visit(entry)
    return order


def join(entry: str, sources: Mapping[str, str], *, shared: bool = False) -> Joined:
    """Join `entry` with all that it imports statically. Raises `FormError`.

    The script exports what `entry` exports. If it is `shared`, it also exports each module that it imports as an
    object, for the modules that are served `apart`.
    """
    *others, _ = closure(entry, sources)
    parts = [_HELPER]
    for name in others:
        text = _bound_text(name, sources[name])
        exports = [match[2] for match in _EXPORT.finditer(text)]
        exports += [name for match in _EXPORTS.finditer(text) for name in _listed(match[1])]
        result = ", ".join(exports)
        text = _EXPORTS.sub("", _EXPORT.sub(r"\1", text))
        parts.append(f"const {_object(name)} = (() => {{\n{_outdented(text)}return {{ {result} }};\n}})();\n")
    parts.append(_outdented(_bound_text(entry, sources[entry])))
    if shared:
        parts.append(f"export {{ {', '.join(map(_object, others))} }};\n")
    return Joined("".join(parts), frozenset(others))


def apart(name: str, source: str, entry: str, joined: Joined) -> str:
    """A module that is not in `joined`, with its imports taken from there. Raises `FormError`.

    `joined` is the script of `entry`, which is shared.
    """
    text = without_comments(name, source)

    def taken(match: re.Match[str]) -> str:
        module = _resolved(name, match[2])
        if module not in joined.modules:
            return match[0]
        script = posixpath.relpath(entry, posixpath.dirname(name) or ".")
        script = script if script.startswith("../") else f"./{script}"
        return f"import {{ {_object(module)} }} from '{script}';\n{_bound(match[1], module)}"

    return _outdented(_IMPORT.sub(taken, text))


def without_comments(name: str, source: str) -> str:
    """The text without the comments that fill whole lines. Raises `FormError`."""
    kept: list[str] = []
    in_comment = in_template = False
    for line in source.splitlines(keepends=True):
        start = line.lstrip()
        if in_comment:
            end = line.find("*/")
            in_comment = end < 0
            if not in_comment and line[end + 2 :].strip():
                raise FormError(f"{name}: something follows a comment of several lines")
            continue
        if in_template:
            if start.startswith(("import ", "export ")):
                raise FormError(f"{name}: a line of a template looks like an import or an export")
        elif start.startswith("//"):
            continue
        elif start.startswith("/*"):
            end = line.find("*/")
            if end < 0:
                in_comment = True
                continue
            if not line[end + 2 :].strip():
                continue
        in_template ^= _turns(line)
        kept.append(line)
    if in_comment or in_template:
        raise FormError(f"{name}: a comment or a template has no end")
    text = "".join(kept)
    return text if text.endswith("\n") else f"{text}\n"


def _turns(line: str) -> bool:
    """Whether a template of several lines begins or ends here: not all backticks are closed in the line."""
    return line.count("`") % 2 == 1


def _outdented(text: str) -> str:
    """The text without its indentation and empty lines, which are no part of JavaScript outside templates."""
    kept: list[str] = []
    in_template = False
    for line in text.splitlines(keepends=True):
        kept.append(line if in_template else line.lstrip())
        in_template ^= _turns(line)
    return "".join(kept)


def _bound_text(name: str, source: str) -> str:
    """A module whose imports are taken from the objects of the script."""
    text = without_comments(name, source)
    text = _IMPORT.sub(lambda match: _bound(match[1], _resolved(name, match[2])), text)
    unknown = _UNKNOWN.search(_EXPORTS.sub("", _EXPORT.sub(r"\1", text)))
    if unknown:
        raise FormError(f"{name}: {unknown[0]}")
    folder = posixpath.dirname(name)
    return _DYNAMIC.sub(f"$import('./{folder}{'/' if folder else ''}', ", text)


def _bound(names: str | None, module: str) -> str:
    """The statement that binds what an import statement names; nothing if it names nothing."""
    wanted = list(_wanted(names or ""))
    return f"const {{ {', '.join(wanted)} }} = {_object(module)};\n" if wanted else ""


def _listed(names: str) -> Iterator[str]:
    for name in names.split(","):
        match name.split():
            case [known]:
                yield known
            case []:
                pass
            case _:
                raise FormError(f"export {{ {name} }}")


def _wanted(names: str) -> Iterator[str]:
    for name in names.split(","):
        match name.split():
            case [known]:
                yield known
            case [known, "as", called]:
                yield f"{known}: {called}"
            case []:
                pass
            case _:
                raise FormError(f"import {{ {name} }}")


def _resolved(name: str, relative: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), relative))


def _object(name: str) -> str:
    """The variable of a module in the joined script. Names of files have neither `$` nor `_` (`release.py`)."""
    return "$" + name.removesuffix(".js").replace("/", "$").replace("-", "_")
