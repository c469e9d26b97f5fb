"""Reading our own stored events leanly: decoded and typed in one pass, the event made without a second validation.

What this service wrote was looked at when it was written, and the log is append-only. Reading it again asks for the
shape only: every key known and present, every value of its type, numbers within their bounds, instants with their
offset. What costs a regular expression (the form of a reference) is left to the strict reading, which `audit` keeps.
Whatever does not decode here, a former version first of all, goes to the strict reading, and it decides.
"""

import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, Optional, Union, get_args, get_origin

import msgspec
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from msgspec.structs import asdict
from pydantic import AwareDatetime, BaseModel, StringConstraints
from pydantic.fields import FieldInfo

NOT_READ: Final = (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError)
"""What a lean reader or writer, or looking for one, raises for what it leaves to the strict one."""

Reader = Callable[[str, int, bytes], Any]
"""From stream, version and state to the event."""

COLUMNS: Final[Mapping[str, Any]] = {"originator_id": "", "originator_version": 0}
"""The fields that columns hold; they prevail over a state that would say them itself."""

_VERSION: Final = "class_version"

# The four places in which pydantic keeps a model; written as such they cost a third of `object.__setattr__`.
_slots: Any = vars(BaseModel)
_set_fields = _slots["__dict__"].__set__
_set_given = _slots["__pydantic_fields_set__"].__set__
_set_extra = _slots["__pydantic_extra__"].__set__
_set_private = _slots["__pydantic_private__"].__set__


_ATOMS: Final = frozenset({str, int, bool, date, datetime})
"""The types that JSON says the same way for pydantic and for msgspec."""

_BOUNDS: Final[Mapping[type, str]] = {
    Ge: "ge",
    Gt: "gt",
    Le: "le",
    Lt: "lt",
    MinLen: "min_length",
    MaxLen: "max_length",
}
"""The bounds that cost nothing to check; types and msgspec call them alike."""


class Untranslatable(TypeError):
    """A field is of a type that has no lean reading: its event is read strictly."""


class _Type(NamedTuple):
    """What msgspec decodes, and what then makes the value of it (None: it is the value)."""

    decoded: Any
    finish: Callable[[Any], Any] | None = None


def build(kind: type[Any], fields: dict[str, Any], given: set[str]) -> Any:
    """An instance of this pydantic model with these fields, in its own order, taken as they are."""
    made = object.__new__(kind)
    _set_fields(made, fields)
    _set_given(made, given)
    _set_extra(made, None)
    _set_private(made, None)
    return made


@cache
def reader(kind: Any) -> Reader:
    """The lean reader of a class of events; it reads nothing if one of its fields has no translation."""
    try:
        struct, finishes, given = _struct(kind, COLUMNS)
    except Untranslatable:
        return _read_nothing
    versioned = kind.class_version > 1
    decode = msgspec.json.Decoder(struct).decode

    def read(stream: str, version: int, state: bytes) -> Any:
        fields = asdict(decode(state))
        fields["originator_id"] = stream
        fields["originator_version"] = version
        if versioned:
            del fields[_VERSION]
        for name, finish in finishes:
            fields[name] = finish(fields[name])
        made = object.__new__(kind)  # As `build`, without its call.
        _set_fields(made, fields)
        _set_given(made, given)
        _set_extra(made, None)
        _set_private(made, None)
        return made

    return read


def _read_nothing(*_: object) -> Any:
    raise msgspec.ValidationError("no lean reading")


@cache
def passing(kind: Any) -> Reader:
    """The reader of what is applied and let go: msgspec's own structure, with the methods of that class of events.

    It has the event's attributes and its `mutate`; nobody may keep it, and it is no model. A class whose events their
    aggregate keeps, or that says its version in each state, is read as an event.
    """
    if kind.KEPT or kind.class_version > 1:
        return reader(kind)
    try:
        struct, finishes, _ = _struct(kind, COLUMNS, {**_methods(kind), "__dict__": property(asdict)})
    except Untranslatable:
        return _read_nothing
    decode = msgspec.json.Decoder(struct).decode

    def read(stream: str, version: int, state: bytes) -> Any:
        made = decode(state)
        made.originator_id = stream
        made.originator_version = version
        for name, finish in finishes:
            setattr(made, name, finish(getattr(made, name)))
        return made

    return read


def _methods(kind: type[Any]) -> dict[str, Any]:
    """What the classes of our events give them to call; nothing of pydantic's nor of the library's."""
    ours = [base for base in reversed(kind.__mro__) if issubclass(base, BaseModel) and base is not BaseModel]
    return {
        name: value
        for base in ours
        for name, value in vars(base).items()
        if isinstance(value, types.FunctionType | staticmethod | property) and not name.startswith("__")
    }


@cache
def writer(kind: Any) -> Callable[[Any], bytes]:
    """What writes the state of an event of this class: the bytes that pydantic would write.

    Nothing leaves that could not be read again, for an event is triggered without being validated: what the lean
    reading would not take, the writer raises as `NOT_READ`.
    """
    try:
        shape = _shape(kind)
        check = msgspec.json.Decoder(_struct(kind, COLUMNS)[0]).decode
    except Untranslatable:
        return _read_nothing
    encode = msgspec.json.Encoder(enc_hook=vars).encode
    prefix = b'{"class_version":%d,' % kind.class_version if kind.class_version > 1 else b""

    def write(event: Any) -> bytes:
        fields = vars(event).copy()
        del fields["originator_id"]
        del fields["originator_version"]
        state = encode(shape(**fields))
        if prefix:
            state = prefix + state[1:]
        check(state)
        return state

    return write


def _shape(kind: Any) -> Callable[..., Any]:
    """What puts an event's fields in their order, whatever they are, without those that are left out when absent.

    It refuses a field too many or too few by a TypeError.
    """
    declared = kind.model_fields
    omitted = {name for name, field in declared.items() if field.exclude_if is not None}
    if not all(declared[name].exclude_if(None) and declared[name].default is None for name in omitted):
        raise Untranslatable(kind)
    fields: list[Any] = [
        (name, Any, None) if name in omitted else (name, Any) for name in declared if name not in COLUMNS
    ]
    return msgspec.defstruct(kind.__name__, fields, kw_only=True, omit_defaults=True)


def _struct(
    model: type[Any],
    columns: Mapping[str, Any] = types.MappingProxyType({}),
    methods: dict[str, Any] | None = None,
) -> tuple[type[Any], list[tuple[str, Callable[[Any], Any]]], set[str]]:
    """The structure of a model's JSON, what is left to do to its fields, and their names."""
    fields: list[Any] = []
    finishes = []
    for name, field in model.model_fields.items():
        if name in columns:
            fields.append((name, Any, columns[name]))
            continue
        annotation: Any = field.annotation
        decoded, finish = _translate(Annotated[annotation, *field.metadata] if field.metadata else annotation)
        fields.append((name, decoded) if field.is_required() else (name, decoded, field.get_default()))
        if finish is not None:
            finishes.append((name, finish))
    if columns and model.class_version > 1:
        fields.append((_VERSION, Literal[model.class_version]))
    struct = msgspec.defstruct(model.__name__, fields, namespace=methods, kw_only=True, forbid_unknown_fields=True)
    return struct, finishes, set(model.model_fields)


def _translate(annotation: Any) -> _Type:
    """The same type for msgspec. Raises Untranslatable."""
    if isinstance(annotation, NewType):
        return _translate(annotation.__supertype__)
    if annotation is AwareDatetime:
        return _Type(Annotated[datetime, msgspec.Meta(tz=True)])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = _translate(arguments[0])
        bounds = _bounds(arguments[1:])
        return inner._replace(decoded=Annotated[inner.decoded, msgspec.Meta(**bounds)]) if bounds else inner
    if origin in {Union, types.UnionType}:
        return _optional(arguments)
    if origin is tuple and arguments[1:] == (...,):
        return _sequence(arguments[0])
    return _class(annotation)


def _class(kind: Any) -> _Type:
    if kind in _ATOMS or get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        return _Type(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        struct, finishes, given = _struct(kind)

        def finish(decoded: Any) -> Any:
            fields = asdict(decoded)
            for name, finish_field in finishes:
                fields[name] = finish_field(fields[name])
            return build(kind, fields, given)

        return _Type(struct, finish)
    raise Untranslatable(kind)


def _optional(arguments: tuple[Any, ...]) -> _Type:
    """`X | None`: the only union that a stored field may be."""
    some = [argument for argument in arguments if argument is not type(None)]
    if len(some) != 1:
        raise Untranslatable(arguments)
    decoded, finish = _translate(some[0])
    perhaps: Any = Optional[decoded]  # noqa: UP045  (a type computed here; only some of them know `|`)
    return _Type(perhaps, None if finish is None else lambda value: None if value is None else finish(value))


def _sequence(item: Any) -> _Type:
    decoded, finish = _translate(item)
    several: Any = tuple[decoded, ...]  # type: ignore[valid-type]
    if finish is None:
        return _Type(several)
    return _Type(several, lambda values: tuple([finish(value) for value in values]))


def _bounds(metadata: tuple[Any, ...]) -> dict[str, Any]:
    """What of these annotations is a bound; forms (regular expressions, validators) are the strict reading's."""
    found: dict[str, Any] = {}
    for one in metadata:
        if isinstance(one, FieldInfo):
            found |= _bounds(tuple(one.metadata))
        elif isinstance(one, StringConstraints):
            found |= {name: value for name in ("min_length", "max_length") if (value := getattr(one, name)) is not None}
        elif type(one) in _BOUNDS:
            found[_BOUNDS[type(one)]] = getattr(one, _BOUNDS[type(one)])
    return found
