"""What a ``.pt2`` program may hold before torch is allowed to read it; pure.

``torch.export.load`` trusts its file. Read in the source of torch 2.13, these
parts of a file become code or end in an unrestricted unpickler:

* tensors marked ``use_pickle``, weights and constants in the legacy ``.pt``
  form, custom and opaque objects: unpickled without restriction;
* sample inputs: the restricted reader first, the unrestricted one if it fails;
* size expressions (``expr_str``): given to sympy, which evaluates Python;
* operator names: any attribute path below ``torch``, ``math`` or ``operator``;
* names of values: written into generated source; guards: compiled as source;
* containers of inputs (``in_spec``): an enum context imports any module;
* a folder of compiled code (``data/aotinductor``): loaded as a library.

Each of them is refused here, or limited to the closed form that
``torch.export.save`` writes for plain tensors. Only then is the file loaded.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from whet.errors import NetworkError

__all__ = ["MODEL", "SAMPLES", "check_archive", "check_expression", "check_program"]

MODEL = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
_CONFIGS = (
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
_ENTRY = re.compile(
    r"models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(model_weights_config\.json|weight_\d+)"
    r"|data/constants/(model_constants_config\.json|tensor_\d+)"
    r"|archive_format|archive_version|byteorder|\.data/\w+|version|extra/[\w./-]+"
)
_MAX_JSON = 256 << 20

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PATH = re.compile(r"[\w.@]*", re.ASCII)
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|higher_order|quantized|quantized_decomposed)(\.[A-Za-z_]\w*){1,2}"
    r"|torch\.sym_(int|float|max|min|not|ite|sum|fresh_size)|torch\._sym_sqrt"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|xor|not_"
    r"|lshift|rshift|getitem)"
    r"|math\.(ceil|floor|trunc|sqrt)",
    re.ASCII,
)
# Operators of these namespaces that reach files or processes.
_FORBIDDEN = re.compile(r"from_file|save|load|print|__", re.ASCII)
_SYMBOL = re.compile(r"[a-z]{1,3}\d+", re.ASCII)
_FUNCTIONS = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Max|Min|Pow|Abs|Mod|PythonMod|ModularIndexing|FloorDiv|CleanDiv|CeilDiv"
    r"|CeilToInt|FloorToInt|IntTrueDiv|FloatTrueDiv|TruncToInt|TruncToFloat|RoundToInt|ToFloat|Identity|Where|Equality|Unequality|Eq"
    r"|Ne|Gt|Ge|Lt|Le|StrictGreaterThan|GreaterThan|StrictLessThan|LessThan|And|Or|Not"
)
_NAMES = {"name", "as_name", "user_input_name"}
_PATHS = {"parameter_name", "buffer_name", "tensor_constant_name", "fqn", "path_name"}
_EMPTY = {"custom_obj_values", "treespec_namedtuple_fields", "as_custom_obj", "custom_obj"}
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}


def _refuse(what: str) -> NetworkError:
    return NetworkError(
        f"The .pt2 program holds {what}, which could run code when it is read.",
        "Export the network again with torch.export.save from plain tensors, or give"
        " 'file.py:factory' and the weights.",
    )


def check_archive(names: Sequence[str], read: Callable[[str], bytes]) -> None:
    """Check everything in an archive but the sample inputs.

    Args:
        names: entries as torch's own reader lists them.
        read: gives an entry's bytes, through torch's own reader.

    Raises:
        NetworkError: no exported program, or one that isn't plain.
    """
    if MODEL not in names:
        raise NetworkError(
            "The .pt2 file holds no exported program.", "Write it with torch.export.save."
        )
    if len(set(names)) != len(names):
        raise _refuse("two entries of one name")
    for name in names:
        if _ENTRY.fullmatch(name) is None or ".." in name:
            raise _refuse(f"the entry {name[:80]!r}")
    for name in (MODEL, *_CONFIGS):
        if name in names:
            check_program(_parsed(read(name), name))


def _parsed(blob: bytes, name: str) -> object:
    if len(blob) > _MAX_JSON:
        raise NetworkError(f"'{name}' of the .pt2 program is too large.", "Export it again.")
    try:
        return msgspec.json.decode(blob)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NetworkError(
            f"'{name}' of the .pt2 program is damaged.", "Copy it or export it again."
        ) from error


def check_program(node: object) -> None:
    """Check a decoded JSON document, key by key.

    Raises:
        NetworkError: a part that could run code.
    """
    pending: list[object] = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            for key, value in part.items():
                _check_entry(str(key), value)
                pending.append(value)
        elif isinstance(part, list):
            pending.extend(part)


def _check_entry(key: str, value: object) -> None:
    if key == "use_pickle" and value is not False:
        raise _refuse("a pickled tensor")
    if key in _EMPTY and value:
        raise _refuse(f"objects that aren't tensors ({key})")
    if key == "expr_str":
        check_expression(str(value))
    elif key in {"in_spec", "out_spec"} and isinstance(value, str):
        _check_container(_parsed(value.encode(), key))
    elif key == "forward_arg_names" and isinstance(value, list):
        for name in value:
            _check_word("name", name)
    elif isinstance(value, str) and value:
        _check_word(key, value)


def _check_word(key: str, word: object) -> None:
    """Check the fields that are one word: operators, names of values, paths of parameters."""
    if key in {"target", "as_operator"}:
        allowed = _fits(_OPERATOR, word) and not _suspicious(str(word))
    elif key in _NAMES:
        allowed = _fits(_IDENTIFIER, word)
    else:
        allowed = key not in _PATHS or _fits(_PATH, word)
    if not allowed:
        raise _refuse(f"the {key} {str(word)[:80]!r}")


def _fits(pattern: re.Pattern[str], word: object) -> bool:
    return isinstance(word, str) and pattern.fullmatch(word) is not None


def _suspicious(operator: str) -> bool:
    last = operator.removeprefix("torch.ops.aten.")
    # "__and__" and its like are operators of their own; nothing else has underscores in pairs.
    plain = re.sub(r"^__(and|or|xor|lshift|rshift)__\.", "", last)
    return _FORBIDDEN.search(plain) is not None


def _check_container(spec: object) -> None:
    pending: list[object] = [spec[1] if isinstance(spec, list) and len(spec) == 2 else spec]
    while pending:
        part = pending.pop()
        if not isinstance(part, Mapping) or part.get("type") not in _CONTAINERS:
            raise _refuse("inputs or outputs in a container of a special kind")
        context = part.get("context")
        keys = _parsed(context.encode(), "in_spec") if isinstance(context, str) else context
        if keys is not None and not (
            isinstance(keys, list)
            and all(isinstance(k, str) and _IDENTIFIER.fullmatch(k) for k in keys)
        ):
            raise _refuse("inputs or outputs with special names")
        children = part.get("children_spec")
        pending.extend(children if isinstance(children, list) else [])


def check_expression(text: str) -> None:
    """Allow only arithmetic over symbols and the functions that torch writes.

    Raises:
        NetworkError: anything else, or an expression that is absurdly large.
    """
    if len(text) > 10_000:
        raise _refuse("a size expression of absurd length")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refuse(f"the size expression {text[:80]!r}") from error
    if not all(_is_arithmetic(node) for node in ast.walk(tree)):
        raise _refuse(f"the size expression {text[:80]!r}")


_PLAIN = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Load, ast.Add, ast.Sub,
    ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.UAdd, ast.And, ast.Or, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return _FUNCTIONS.fullmatch(node.id) is not None or _SYMBOL.fullmatch(node.id) is not None
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _SYMBOL.fullmatch(node.value) is not None
        return isinstance(node.value, bool | float) or (
            isinstance(node.value, int) and abs(node.value) <= 1 << 63
        )
    if isinstance(node, ast.keyword):
        return node.arg in {
            "positive",
            "integer",
            "nonnegative",
            "negative",
            "precision",
            "evaluate",
        }
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and _is_small_power(node)
    return isinstance(node, _PLAIN)


def _is_small_power(node: ast.Call) -> bool:
    # Powers of powers would take for ever; a size has small exponents.
    if not isinstance(node.func, ast.Name) or node.func.id != "Pow":
        return True
    if len(node.args) != 2:
        return False
    exponent = ast.unparse(node.args[1])
    return re.fullmatch(r"Integer\(-?\d\)|-?\d|Rational\(-?\d, \d\)", exponent) is not None
