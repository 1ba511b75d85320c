"""What a file is written in, as far as its name tells."""

from __future__ import annotations

from pathlib import PurePath

_BY_SUFFIX = {
    "C": ".c .h",
    "C#": ".cs",
    "C++": ".cc .cpp .cxx .hh .hpp .hxx",
    "CSS": ".css .less .sass .scss",
    "CSV": ".csv .tsv",
    "Configuration": ".cfg .conf .ini .properties",
    "Cython": ".pxd .pxi .pyx",
    "Elixir": ".ex .exs",
    "Fortran": ".f .f90",
    "Go": ".go",
    "HTML": ".htm .html",
    "Haskell": ".hs",
    "JSON": ".json .jsonl",
    "Java": ".java",
    "JavaScript": ".cjs .js .jsx .map .mjs",
    "Kotlin": ".kt .kts",
    "Lua": ".lua",
    "Markdown": ".md",
    "PHP": ".php",
    "Perl": ".pl .pm",
    "PowerShell": ".ps1",
    "Python": ".py .pyw",
    "Python stubs": ".pyi",
    "R": ".r",
    "Ruby": ".rb",
    "Rust": ".rs",
    "SQL": ".sql",
    "SVG": ".svg",
    "Scala": ".scala",
    "Shell": ".bash .bat .cmd .fish .sh .zsh",
    "Swift": ".swift",
    "TOML": ".toml",
    "Templates": ".jinja .jinja2 .j2 .tmpl .tpl",
    "Text": ".log .rst .txt",
    "TypeScript": ".ts .tsx",
    "XML": ".xml .xsd .xsl",
    "YAML": ".yaml .yml",
}
_BY_NAME = {
    "Dockerfile": "Docker",
    "Makefile": "Make",
    **dict.fromkeys(("AUTHORS", "COPYING", "INSTALLER", "LICENSE", "METADATA", "NOTICE", "README", "RECORD"), "Text"),
}
_LANGUAGES = {suffix: language for language, suffixes in _BY_SUFFIX.items() for suffix in suffixes.split()}


def language_of(path: str) -> str | None:
    """The language of a file; None if its name promises no text."""
    name = PurePath(path)
    return _LANGUAGES.get(name.suffix.lower()) or _BY_NAME.get(name.name)
