r"""ASCII stand-ins for characters that a console lacks: ``-0.47`` in place of ``−0.47``, never ``?0.47``.

Consoles are not all UTF-8: a pipe on Windows has a code page (cp1252, cp437), a bare POSIX system ASCII. A stand-in may
be longer than its character, so text that is laid out in columns takes it before its width is measured
(``system.console``); a standard stream replaces what has come so far (``system.streams``). Latin letters lose their
accents. Any other character, as of a name in Chinese, is shown as its escape: a question mark in its place would say
that something was unknown.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from actbench.system.text import escaped

ERRORS = "actbench.stand_ins"
"""The name of the rule, for the argument ``errors`` of a stream."""

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺⁽⁾ᵀᵃᵇᵈⁱʲᵏˡᵐⁿᵖˢᵗˣ", "0123456789-+()Tabdijklmnpstx", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₐₑᵢⱼₖₗₘₙₚᵣₛₜᵤᵥₓ", "0123456789+-aeijklmnprstuvx", strict=True))

STAND_INS = {
    **_SUBSCRIPTS,
    **dict.fromkeys("−–‐‑‒", "-"),
    "—": "--",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∼": "~",
    "∈": " in ",
    "⊙": "*",
    "∂": "d",
    "±": "+/-",
    "×": "x",
    **dict.fromkeys("·•∙⋅", "*"),
    "÷": "/",
    "√": "sqrt",
    "∞": "inf",
    "∫": "integral ",
    "∏": "prod ",
    "∑": "sum ",
    "‖": "||",
    "⌈": "ceil(",
    "⌉": ")",
    "′": "'",
    "½": "1/2",
    "°": " deg",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "▶": ">",
    "◀": "<",
    "✓": "+",
    "✗": "x",
    **dict.fromkeys("“”„«»", '"'),
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u2800", " "),
    **dict.fromkeys("─━═╌┄", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝╠╣╦╩╬╸╺", "+"),
    **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)),
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "Γ": "Gamma",
    "δ": "delta",
    "Δ": "diff",  # only ever a difference here
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "Θ": "Theta",
    "κ": "kappa",
    "λ": "lambda",
    "Λ": "Lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "ρ": "rho",
    "µ": "u",  # the sign of a millionth
    "π": "pi",
    "σ": "sigma",
    "Σ": "sum",
    "τ": "tau",
    "φ": "phi",
    "Φ": "Phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
    "Ω": "Omega",
}
"""Character -> its stand-in where it stands alone."""

_DOT_BETWEEN, _DOT_BEFORE = " · ", "· "
"""A middle dot that separates words, or begins a line of a list, is a dash: an asterisk is a product, or a star."""

_FOREIGN = re.compile(
    f"[{re.escape(''.join(_SUPERSCRIPTS))}]+|{_DOT_BETWEEN}|^{_DOT_BEFORE}|[^\x00-\x7f]", re.MULTILINE
)


def displayable(text: str, encoding: str) -> str:
    r"""Return the text in characters of an encoding, with stand-ins for the others; text that has none as it is.

    >>> displayable("−0.47 ≤ Δ · f′(z), σ = 2·10⁻⁵", "ascii")
    "-0.47 <= diff - f'(z), sigma = 2*10^-5"
    >>> displayable("±0.47 − …", "cp1252") == "±0.47 - …"
    True
    >>> displayable("研", "cp437")
    '\\u7814'
    """
    return text if text.isascii() or _has(encoding, text) else "".join(stand_ins(text, encoding))


def stand_ins(text: str, encoding: str) -> list[str]:
    """Return what is shown for each character: itself, its stand-in, or nothing where the one before stands for it too.

    >>> stand_ins("f² ≤ 10⁻⁵", "ascii")
    ['f', '^2', ' ', '<=', ' ', '1', '0', '^-5', '']
    """
    shown = list(text)
    for found in _FOREIGN.finditer(text):
        if not _has(encoding, found[0]):
            shown[found.start() : found.end()] = [_stand_in(found[0]), *[""] * (len(found[0]) - 1)]
    return shown


def _stand_in(text: str) -> str:
    if text in (_DOT_BETWEEN, _DOT_BEFORE):
        return text.replace("·", "-")
    if text[0] in _SUPERSCRIPTS:
        return "^" + "".join(map(_SUPERSCRIPTS.__getitem__, text))
    if "\u2801" <= text <= "\u28ff":  # braille dots, of which curves are made
        return "*"
    return STAND_INS.get(text) or _base(text) or escaped(text)


def _base(letter: str) -> str:
    """Return a Latin letter without its accents; empty for any other character."""
    first = unicodedata.normalize("NFD", letter)[0]
    return first if letter.isalpha() and first.isascii() else ""


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return the stand-ins for a stretch of text that a stream's encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(stand_ins(error.object[error.start : error.end], "ascii")), error.end


codecs.register_error(ERRORS, _replace)
