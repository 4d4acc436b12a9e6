"""What changed between two contracts that a client of the older one would not survive.

A client knows the older contract: it asks for what that has, and reads what that promises. So what
is asked may only be allowed more, and what is told may only be more. (docs/decisions/0039)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Json = dict[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_IN_ORDER = (None, "metrics", "read", "operate", "admin")
# Limits from below and from above.
_LEAST = ("minimum", "minLength", "minItems", "exclusiveMinimum")
_MOST = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")


class Way(Enum):
    """Which side writes what a schema describes."""

    ASKED = "asked"
    TOLD = "told"


def breaking_changes(old: Json, new: Json) -> list[str]:
    """Each change that breaks a client of `old`, with its place. Additions are none."""
    return list(_Comparison(old, new).operations())


@dataclass
class _Comparison:
    old: Json
    new: Json
    seen: set[tuple[str, str, Way]] = field(default_factory=set)

    def operations(self) -> Iterator[str]:
        for path, item in self.old["paths"].items():
            for method in _METHODS:
                if method in item:
                    where = f"{method.upper()} {path}"
                    later = self.new["paths"].get(path, {}).get(method)
                    if later is None:
                        yield f"{where}: it is gone"
                    else:
                        yield from self.operation(where, path, item[method], later)

    def operation(self, where: str, path: str, old: Json, new: Json) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{where}: its operationId was {old['operationId']}"
        if _IN_ORDER.index(new["x-access"]) > _IN_ORDER.index(old["x-access"]):
            yield f"{where}: it needs more access than {old['x-access']}"
        if lost := _schemes(old) - _schemes(new):
            yield f"{where}: nobody can come in by {', '.join(sorted(lost))}"
        yield from self.parameters(
            where,
            _parameters(self.old["paths"][path], old),
            _parameters(self.new["paths"][path], new),
        )
        yield from self.body(where, old.get("requestBody"), new.get("requestBody"))
        yield from self.answer(where, old["responses"], new["responses"])

    def parameters(
        self, where: str, old: Mapping[tuple[str, str], Json], new: Mapping[tuple[str, str], Json]
    ) -> Iterator[str]:
        for key, one in new.items():
            if one["required"] and not old.get(key, {"required": False})["required"]:
                yield f"{where}: parameter {key[1]} is required"
        for key, one in old.items():
            if key not in new:
                yield f"{where}: parameter {key[1]} is gone"
                continue
            place = f"{where}: parameter {key[1]}"
            before, after = one["schema"], new[key]["schema"]
            if before.get("default") != after.get("default"):
                yield f"{place}: its default was {before.get('default')!r}"
            yield from self.schema(place, before, after, Way.ASKED)

    def body(self, where: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if new is not None and new["required"] and not (old and old["required"]):
            yield f"{where}: a body is required"
        for media, content in (old or {"content": {}})["content"].items():
            later = (new or {"content": {}})["content"].get(media)
            if later is None:
                yield f"{where}: no body of type {media} is taken"
            else:
                yield from self.schema(
                    f"{where}: body", content["schema"], later["schema"], Way.ASKED
                )

    def answer(self, where: str, old: Json, new: Json) -> Iterator[str]:
        for status, answer in old.items():
            if status >= "300":
                continue  # a client has to bear other refusals
            later = new.get(status)
            if later is None:
                yield f"{where}: it does not answer {status}"
                continue
            for media, content in answer.get("content", {}).items():
                if media not in later.get("content", {}):
                    yield f"{where}: it does not answer {media}"
                    continue
                yield from self.schema(
                    f"{where}: answer",
                    content.get("schema", {}),
                    later["content"][media].get("schema", {}),
                    Way.TOLD,
                )

    def schema(self, where: str, old: Json, new: Json, way: Way) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""), way)
        if all(pair[:2]):
            if pair in self.seen:
                return
            self.seen.add(pair)
            where = f"{where} ({pair[0].rpartition('/')[2]})"
        old, new = _resolved(self.old, old), _resolved(self.new, new)
        if "anyOf" in old or "anyOf" in new:
            yield from self.cases(where, _cases(old), _cases(new), way)
            return
        if old.get("type") != new.get("type"):
            yield f"{where}: its type was {old.get('type')}"
            return
        yield from _limits(where, old, new, way)
        yield from self.fields(where, old, new, way)
        if "oneOf" in old:
            yield from self.alternatives(where, old, new, way)
        for part in ("items", "additionalProperties", "contentSchema"):
            if isinstance(old.get(part), dict):
                if isinstance(new.get(part), dict):
                    yield from self.schema(f"{where}[]", old[part], new[part], way)
                else:
                    yield f"{where}: {part} is gone"
        if len(old.get("prefixItems", ())) != len(new.get("prefixItems", ())):
            yield f"{where}: it had {len(old.get('prefixItems', ()))} items"
        for before, after in zip(
            old.get("prefixItems", ()), new.get("prefixItems", ()), strict=False
        ):
            yield from self.schema(f"{where}[]", before, after, way)

    def fields(self, where: str, old: Json, new: Json, way: Way) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, one in before.items():
            if name not in after:
                yield f"{where}: field {name} is gone"
            else:
                yield from self.schema(f"{where}.{name}", one, after[name], way)
        needed, is_needed = set(old.get("required", ())), set(new.get("required", ()))
        changed = is_needed - needed if way is Way.ASKED else needed - is_needed
        for name in sorted(changed & set(after)):
            fault = "is required" if way is Way.ASKED else "may be missing"
            yield f"{where}: field {name} {fault}"

    def cases(
        self, where: str, old: Iterable[Json], new: Iterable[Json], way: Way
    ) -> Iterator[str]:
        """Alternatives, found again by their kind: others may be taken, but none may come."""
        by_kind = {_kind(case): case for case in new}
        was = {_kind(case): case for case in old}
        for kind, case in was.items():
            if kind in by_kind:
                yield from self.schema(where, case, by_kind[kind], way)
            elif way is Way.ASKED:
                yield f"{where}: it can't be {kind}"
        if way is Way.TOLD:
            for kind in by_kind.keys() - was.keys():
                yield f"{where}: it can be {kind}"

    def alternatives(self, where: str, old: Json, new: Json, way: Way) -> Iterator[str]:
        """Events of a stream, by name. Further ones are additions: clients leave them out."""
        named = {_event(one): one for one in new.get("oneOf", ())}
        for one in old["oneOf"]:
            name = _event(one)
            if name is None:
                continue
            if name not in named:
                yield f"{where}: event {name} is gone"
            else:
                before, after = (
                    alternative["properties"]["data"] for alternative in (one, named[name])
                )
                yield from self.schema(
                    f"{where}: event {name}",
                    before["contentSchema"],
                    after["contentSchema"],
                    way,
                )


def _limits(where: str, old: Json, new: Json, way: Way) -> Iterator[str]:
    if way is Way.ASKED:
        for limits, is_tighter in ((_LEAST, float.__gt__), (_MOST, float.__lt__)):
            for limit in limits:
                if limit in new and (
                    limit not in old or is_tighter(float(new[limit]), float(old[limit]))
                ):
                    yield f"{where}: {limit} is {new[limit]}"
        if "pattern" in new and new["pattern"] != old.get("pattern"):
            yield f"{where}: it has another pattern"
        if "enum" in new and (lost := set(old.get("enum", ())) - set(new["enum"])):
            yield f"{where}: it can't be {', '.join(sorted(map(repr, lost)))}"
        if "enum" in new and "enum" not in old:
            yield f"{where}: it can't be anything"
    elif "enum" in old:
        if "enum" not in new:
            yield f"{where}: it can be anything"
        elif found := set(new["enum"]) - set(old["enum"]):
            yield f"{where}: it can be {', '.join(sorted(map(repr, found)))}"


def _parameters(item: Json, operation: Json) -> dict[tuple[str, str], Json]:
    every = [*item.get("parameters", ()), *operation.get("parameters", ())]
    return {(one["in"], one["name"]): one for one in every}


def _schemes(operation: Json) -> set[str]:
    return {name for one in operation["security"] for name in one}


def _resolved(document: Json, schema: Json) -> Json:
    ref = schema.get("$ref")
    if ref is None:
        return schema
    found = document["components"]["schemas"][ref.rpartition("/")[2]]
    assert isinstance(found, dict)
    return found


def _cases(schema: Json) -> list[Json]:
    cases: list[Json] = schema.get("anyOf", [schema])
    return cases


def _kind(schema: Json) -> str:
    return str(schema.get("$ref") or schema.get("type"))


def _event(schema: Json) -> str | None:
    name = schema.get("properties", {}).get("event", {}).get("const")
    return name if isinstance(name, str) else None
