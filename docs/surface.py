"""The reference pages of what people touch: commands, settings, manifests, the admin API. All read from the code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

import typer.main
from docs.tables import table
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from tests.support.admin import AdminServer

from penstock_gateway.cli.application import application
from penstock_gateway.cli.exits import MEANINGS
from penstock_gateway.explanations import PATTERN_WORDS
from penstock_gateway.settings import CLIENT_VARIABLES, DATABASES, PREFIX, Settings
from penstock_registry.kinds import KINDS, SPECS, Kind, Metadata

Json = Mapping[str, object]
EXAMPLES: Final[Mapping[Kind, str]] = {
    "Backend": """\
  platform: triton
  endpoints:
    - {url: "http://10.0.0.5:8000", grpc: "10.0.0.5:8001"}
    - {url: "http://10.0.0.6:8000", grpc: "10.0.0.6:8001", weight: 2}
  limits: {maxInFlight: 64}
  health: {intervalSeconds: 2, unhealthyAfter: 3}""",
    "Model": """\
  owner: vision
  signature:
    inputs: [{name: image, datatype: FP32, shape: [-1, 64]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
  versions:
    - {id: "1", framework: onnx, artifact: "file:///models/digits-1.onnx"}
    - {id: "2", framework: onnx, artifact: "file:///models/digits-2.onnx"}
  aliases: {stable: "1", candidate: "2"}""",
    "Deployment": """\
  model: digits@1
  backend: gpu
  remote: {name: digits, version: "1"}
  state: READY""",
    "Placement": """\
  match: {framework: onnx, labels: {size: small}}
  backend: local
  priority: 10""",
    "Route": """\
  targets:
    - {to: digits@stable, weight: 90}
    - {to: digits@candidate, weight: 10}
  sticky: {by: header/x-user}
  timeoutMs: 250""",
}
NAMES: Final[Mapping[Kind, str]] = {
    "Backend": "gpu", "Model": "digits", "Deployment": "digits-1-gpu", "Placement": "small-onnx", "Route": "digits-live",
}  # fmt: skip


def cli() -> str:
    """Every command with its options and examples."""
    group = typer.main.get_command(application())
    parts = [_command(words, command) for words, command in _commands(group)]
    codes = table(("code", "meaning"), ((str(code.value), meaning) for code, meaning in MEANINGS.items()))
    variables = table(("variable", "what"), ((f"`{name}`", what) for name, what in CLIENT_VARIABLES.items()))
    return f"""# Command line

`penstock COMMAND --help` says the same as this page. What programs read goes to standard output and is never coloured;
summaries, warnings and errors go to standard error; a hint follows where it is not plain what to do.
`penstock --install-completion` completes commands and options in your shell.

## Exit codes

They do not change.

{codes}

## Variables

{variables}

## Commands

{"".join(parts)}"""


def _commands(group: object) -> Iterator[tuple[str, object]]:
    for name, command in getattr(group, "commands", {}).items():
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        else:
            yield from ((f"{name} {word}", inner) for word, inner in below.items())


def _command(words: str, command: object) -> str:
    text = str(getattr(command, "help", "")).replace("\b\n", "")
    prose, _, examples = text.partition("\nExample")
    lines = "\n".join(line.strip() for line in examples.partition("\n")[2].splitlines())
    parameters = [p for p in getattr(command, "params", []) if p.name != "help"]
    arguments = " ".join(_argument(p) for p in parameters if not p.opts[0].startswith("-"))
    rows = ((_option(p), p.help or "", _default(p)) for p in parameters)
    options = table(("option", "what", "default"), rows) + "\n" if parameters else ""
    heading = f"penstock {words} {arguments}".strip()
    return f"### {heading}\n\n{prose.strip()}\n\n```sh\n{lines.strip()}\n```\n\n{options}\n"


def _argument(parameter: object) -> str:
    word = str(getattr(parameter, "metavar", "") or getattr(parameter, "name", "")).upper()
    return word if getattr(parameter, "required", False) or word.startswith("[") else f"[{word}]"


def _option(parameter: object) -> str:
    opts = getattr(parameter, "opts", [])
    if not opts[0].startswith("-"):
        return f"`{_argument(parameter)}`"
    metavar = getattr(parameter, "metavar", None)
    return ", ".join(f"`{opt}`" for opt in opts) + (f" {metavar}" if metavar else "")


def _default(parameter: object) -> str:
    if getattr(parameter, "required", False):
        return "required"
    shown, default = getattr(parameter, "show_default", None), getattr(parameter, "default", None)
    envvar = getattr(parameter, "envvar", None)
    value = shown if isinstance(shown, str) else getattr(default, "value", default)
    text = "" if value in (None, "", False) else f"`{value}`"
    return f"`{envvar}`, {text}".strip(", ") if envvar else text


def settings() -> str:
    """Every setting."""
    rows = (
        (f"`{name}`", f"`{PREFIX}{name.upper()}`", _shown(field), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    variables = ", ".join(f"`{name}`" for name in CLIENT_VARIABLES)
    return f"""# Settings

A setting has one name and three spellings; a later source wins:

1. the file `penstock.toml` in the working directory, or the one named by `--config` or `PENSTOCK_CONFIG`;
2. the environment: the name in capitals after `{PREFIX}`; lists are separated by commas;
3. the command line: `--set name=value`, and for the usual ones an option of their own (`--http-port 9000`).

```toml
http_port = 9000
workers = 4
database = "postgresql+asyncpg://penstock@db/penstock"
allowed_hosts = ["penstock.internal"]
```

A name that is not in this table is an error, in the environment as well; only {variables} are for the commands that
call a server. `penstock config show` prints every value and where it came from, with passwords masked.

A secret can stay in a file: `PENSTOCK_DATABASE_FILE=/run/secrets/database` reads the value from there. This works for every setting.

A listener on an address that other machines can reach refuses to start, because no caller has to show a credential yet:
put it behind something that authenticates, then say so with `allow_insecure_bind`.

{table(("setting", "variable", "default", "what"), rows)}

`database` is one of {" or ".join(f"`{name}://…`" for name in DATABASES)}. Sizes are bytes; other units are in the names.
"""


def _shown(field: FieldInfo) -> str:
    value = field.get_default()
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ("", ()) else f"`{value}`"


def manifests() -> str:
    """Every field of every kind."""
    kinds = "\n".join(_kind(kind) for kind in KINDS)
    return f"""# Manifests

A manifest says what shall be. Several stand in one file, separated by `---`; `penstock apply -f` takes files, folders and
standard input, checks everything, and then changes all of it as one snapshot, or nothing.

```yaml
apiVersion: penstock/v1
kind: Backend
metadata:
  name: local
  labels: {{zone: z1}}
spec:
  platform: onnxruntime
```

- Unknown fields, doubled keys, aliases (`*name`) and tags (`!tag`) are errors. Every error names file, line and field.
- A reference to something that does not exist is an error when it is applied, not when it is called.
- Versions are text: write `id: "2"`. A word such as `no`, `010` or `12e4567` is text without quotes, too.
- A path as artifact, `models/digits.onnx`, is looked up beside the manifest; its SHA-256 is filled in, or compared.
- `revision` and `status`, which the server adds when it shows a resource, are ignored: what `penstock get -o yaml` printed can be applied.
- JSON is read as well: one manifest, or a list of them. `GET /v1/schemas/{{kind}}` has the JSON Schema for your editor.

## metadata

The same for every kind.

{_fields(Metadata, "metadata")}

{kinds}"""


def _kind(kind: Kind) -> str:
    spec = SPECS[kind]
    example = f"apiVersion: penstock/v1\nkind: {kind}\nmetadata:\n  name: {NAMES[kind]}\nspec:\n{EXAMPLES[kind]}"
    return f"## {kind}\n\n{_doc(spec)}\n\n```yaml\n{example}\n```\n\n{_fields(spec, 'spec')}\n"


def _doc(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def _fields(model: type[BaseModel], path: str) -> str:
    return table(("field", "type", "default", "what"), _rows(model, path))


def _rows(
    model: type[BaseModel], path: str, seen: dict[type[BaseModel], str] | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """A row for each field, those of inner models below it; a model that was shown before is only named."""
    seen = {} if seen is None else seen
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}"
        inner, suffix = _inner(field.annotation)
        words = field.description or (_doc(inner) if inner else "")
        shown = seen.get(inner) if inner is not None and inner.__name__ == "SignatureSpec" else None
        yield f"`{here}`", _type(field) + (f"; fields as `{shown}`" if shown else ""), _field_default(field), words
        if inner is not None and not shown:
            seen[inner] = here
            yield from _rows(inner, here + suffix, seen)


def _inner(annotation: object) -> tuple[type[BaseModel] | None, str]:
    """The model inside a field's type, and how its fields are reached."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    for argument in get_args(annotation):
        found, suffix = _inner(argument)
        if found is not None:
            return found, "[]" if get_origin(annotation) is tuple else suffix
    return None, ""


def _type(field: FieldInfo) -> str:
    return _word(field.annotation) + _bounds([*field.metadata, *_constraints(field.annotation)])


def _word(annotation: object) -> str:
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a not in (type(None), Ellipsis)]
    if origin is Annotated:
        return _word(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_word(argument) for argument in arguments))
    if origin is Literal:
        return ", ".join(arguments)
    if origin is tuple:
        return f"list of {_word(arguments[0])}"
    if origin is dict:
        return f"mapping of {_word(arguments[0])} to {_word(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, str(annotation))  # type: ignore[call-overload, no-any-return]


def _constraints(annotation: object) -> list[object]:
    return list(get_args(annotation)[1:]) if get_origin(annotation) is Annotated else []


def _bounds(metadata: list[object]) -> str:
    found: dict[str, object] = {}
    for item in metadata:
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern"):
            value = getattr(item, name, None)
            if value is not None:
                found[name] = value
    words = [
        *([f"from {found['ge']}"] if "ge" in found else [f"above {found['gt']}"] if "gt" in found else []),
        *([f"to {found['le']}"] if "le" in found else []),
        *([f"below 2^{int(str(found['lt'])).bit_length() - 1}"] if "lt" in found else []),
        *([f"at least {found['min_length']}"] if "min_length" in found else []),
        *([f"at most {found['max_length']:,}"] if "max_length" in found else []),
        *([PATTERN_WORDS[str(found["pattern"])].removeprefix("must be ")] if "pattern" in found else []),
    ]
    return f"; {', '.join(words)}" if words else ""


def _field_default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    value = field.default
    if value is None or value in ("", ()) or isinstance(value, BaseModel | dict):
        return ""
    return f"`{json.dumps(value)}`"


def admin_api() -> str:
    """Every operation of the admin API, from its OpenAPI document."""
    document = AdminServer("").app().openapi()
    operations = [
        (path, method.upper(), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    overview = table(
        ("operation", "what", "answers"),
        (
            (f"`{method} {path}`", operation["summary"], ", ".join(operation["responses"]))
            for path, method, operation in operations
        ),
    )
    parameters: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for path, method, operation in operations:
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "path":
                key = (parameter["name"], parameter["in"])
                parameters.setdefault(key, (parameter.get("description", ""), []))[1].append(f"{method} {path}")
    rows = ((f"`{name}`", place, what, _where(uses)) for (name, place), (what, uses) in parameters.items())
    schemas = document["components"]["schemas"]
    bodies = "\n\n".join(
        _body(name, schemas[name]) for name in ("ApplyBody", "DiffBody", "RollbackBody", "PromoteBody")
    )
    return f"""# Admin API

On its own listener, `http://127.0.0.1:8102` unless set otherwise. `/openapi.json` is the OpenAPI 3.1 document, `/docs` the
same for reading; both work offline.

```sh
curl -s http://127.0.0.1:8102/v1/models/digits
curl -s -X POST http://127.0.0.1:8102/v1/models/digits/promote -H 'content-type: application/json' -d '{{"version": "2"}}'
```

- **Resources** are manifests, as in [manifests](manifests.md), with `revision` (the snapshot that last changed it) and, for a
  deployment, `status`: its observed state (PENDING, LOADING, READY, FAILED, UNLOADING) and the reason. A model's `status`
  has `replicas`: where each version runs, with state and reason, and `placed` if a Placement and no Deployment put it there.
- **Races**: the ETag of a resource is its revision. Send it in `If-Match`, and a change that somebody else made first is a 409
  instead of lost; `If-None-Match: *` only creates. An apply with prune is decided again if something changed meanwhile.
- **Errors** are problem documents (RFC 9457, `application/problem+json`): `error` has the text, `reason` the word that does
  not change (see [errors](errors.md)), `hint` what to do, and `problems` every wrong field with its path.
- **Writes** take `application/json` only, and no request whose Host or Origin is another site's: a page in a browser cannot
  call this API. CORS is off. Names besides `localhost` and addresses are allowed with the setting `allowed_hosts`.
- **Who and why**: `x-penstock-author` and `x-penstock-reason` (or `reason` in the body) are kept with the snapshot.

## Operations

{overview}

## Parameters and headers

{table(("name", "in", "what", "of"), rows)}

## Bodies

{bodies}
"""


def _where(uses: list[str]) -> str:
    return f"`{uses[0]}`" + (f" and {len(uses) - 1} more" if len(uses) > 1 else "")


def _body(name: str, schema: Json) -> str:
    properties = schema["properties"]
    required = schema.get("required", [])
    assert isinstance(properties, Mapping)
    assert isinstance(required, list)
    rows = (
        (
            f"`{field}`",
            "required" if field in required else f"`{json.dumps(value.get('default', {}))}`",
            value.get("description", ""),
        )
        for field, value in properties.items()
    )
    return f"### {name}\n\n{schema['description']}\n\n{table(('field', 'default', 'what'), rows)}"
