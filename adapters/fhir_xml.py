"""FHIR XML to FHIR JSON, by the tables of adapters/fhir_spec.py.

Rules (hl7.org/fhir/R4/xml.html, hl7.org/fhir/R4/json.html):
- An element that may repeat becomes a list even when it stands once; the tables say which.
- A primitive's `value` becomes true or false, a whole number, a decimal (its digits kept) or text,
  by its type; a value that is not of its type stays text, and the check then finds it.
- A primitive's `id` and extensions become its `_name` companion; in lists, with nulls to match.
- The narrative's `div` stays XHTML text. `contained` and `resource` unwrap the resource inside.
- Whatever does not belong (stray text, attributes, elements of other namespaces) is kept under a
  key that no FHIR type has, so that the check rejects the resource instead of losing it.
- The parser resolves no entities and opens nothing. A document type declaration refuses the feed:
  FHIR has no use for one, and entity bombs need one. Only UTF-8 is read, as FHIR demands.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from lxml import etree

from adapters.fhir_spec import PRIMITIVES, RESOURCE, Element, Primitive, Spec, token, type_spec
from schemas.errors import FeedRefused

FHIR_NAMESPACE = "http://hl7.org/fhir"
_XHTML_DIV = "{http://www.w3.org/1999/xhtml}div"
_PREFIX = f"{{{FHIR_NAMESPACE}}}"
_DECLARED = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
_ATTRIBUTES = ("id", "url")
"""Elements that FHIR XML writes as attributes."""
_UNKNOWN_TYPE = Spec("?", token("?"), False, {}, (), ())
_EXTENSIONS = Element("?.extension", token("?.extension"), True, None, "Extension")
_COMPANION = Spec("?", token("?"), False, {"extension": _EXTENSIONS}, (), ())
"""What a primitive may hold beside its value."""


def resource_of_xml(data: bytes) -> dict[str, Any]:
    """The resource of an XML document, as JSON. Raises: FeedRefused."""
    declared = _DECLARED.match(data)
    if declared and declared[1].lower() not in (b"utf-8", b"us-ascii"):
        raise FeedRefused("encoding", "expected XML in UTF-8; the declaration names another")
    if b"<!DOCTYPE" in data:
        raise FeedRefused(
            "bomb", "the XML declares a document type; FHIR has none, entity bombs need one"
        )
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
        if not _tag(root).startswith(_PREFIX):
            raise FeedRefused("not_the_format", f"expected a resource of {FHIR_NAMESPACE}")
        return _resource(root)
    except etree.XMLSyntaxError as error:
        # The parser's own words may quote the document.
        place = f"line {error.lineno}"
        raise FeedRefused("bad_syntax", f"{place}: the XML is not well-formed") from None
    except RecursionError:
        raise FeedRefused("bad_syntax", "the XML nests too deeply") from None


def _resource(node: etree._Element) -> dict[str, Any]:
    name = _key(node)
    result: dict[str, Any] = {"resourceType": name}
    spec = type_spec(name) if name.isalpha() else None
    _fill(result, node, spec or _UNKNOWN_TYPE)
    return result


def _tag(node: etree._Element) -> str:
    return str(node.tag)


def _attributes(node: etree._Element) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in node.items()]


def _key(node: etree._Element) -> str:
    """The JSON key of an element: its name, with the namespace left on where it is another."""
    return _tag(node).removeprefix(_PREFIX)


def _fill(result: dict[str, Any], node: etree._Element, spec: Spec) -> None:
    """Puts the attributes and children of an XML element into a JSON object."""
    for attribute, value in _attributes(node):
        known = spec is _UNKNOWN_TYPE or (attribute in _ATTRIBUTES and attribute in spec.elements)
        result[attribute if known else f"@{attribute}"] = value
    _fill_children(result, node, spec)


def _fill_children(result: dict[str, Any], node: etree._Element, spec: Spec) -> None:
    texts = (node.text, *(child.tail for child in node))
    stray = "".join(text for text in texts if text and not text.isspace())
    if stray:
        result["#text"] = stray
    for child in node:
        key = "div" if _tag(child) == _XHTML_DIV else _key(child)
        element = spec.elements.get(key)
        if element is None:
            _add_unknown(result, key, child)
        elif element.primitive is not None:
            _add_primitive(result, key, child, element, element.primitive)
        else:
            _add(result, key, _complex(child, element), element.many)


def _complex(node: etree._Element, element: Element) -> Any:
    if element.type_name != RESOURCE:
        inner: dict[str, Any] = {}
        _fill(inner, node, type_spec(element.type_name) or _UNKNOWN_TYPE)
        return inner
    held = [_resource(child) for child in node]
    return held[0] if len(held) == 1 and not node.attrib else {"#resources": held}


def _add(result: dict[str, Any], key: str, value: Any, many: bool) -> None:
    """Adds a value; a second one under a single key makes a list, which the check rejects."""
    if many:
        result.setdefault(key, []).append(value)
    elif key not in result:
        result[key] = value
    elif isinstance(result[key], list):
        result[key].append(value)
    else:
        result[key] = [result[key], value]


def _add_primitive(
    result: dict[str, Any], key: str, node: etree._Element, element: Element, primitive: Primitive
) -> None:
    if primitive.name == "Xhtml":
        _add(result, key, _xhtml(node), element.many)
        return
    companion: dict[str, Any] = {}
    for name, text in _attributes(node):
        if name != "value":
            companion["id" if name == "id" else f"@{name}"] = text
    _fill_children(companion, node, _COMPANION)
    sent = node.get("value")
    value = None if sent is None else _typed(sent, primitive)
    if not element.many:
        if value is not None or key in result:
            _add(result, key, value, False)
        if companion or value is None:
            _add(result, f"_{key}", companion, False)
        return
    values = result.setdefault(key, [])
    values.append(value)
    if companion or value is None:
        companions = result.setdefault(f"_{key}", [])
        companions.extend([None] * (len(values) - 1 - len(companions)))
        companions.append(companion)
    elif f"_{key}" in result:
        result[f"_{key}"].append(None)


def _typed(text: str, primitive: Primitive) -> Any:
    """The JSON value of a primitive's text, or the text where it is not of the type."""
    if primitive.name == "Boolean":
        return _BOOLEANS.get(text, text)
    if primitive is PRIMITIVES["Decimal"] and _NUMBER.fullmatch(text):
        try:
            return int(text) if _WHOLE.fullmatch(text) else Decimal(text)
        except InvalidOperation:
            return text
    if int in primitive.classes and _WHOLE.fullmatch(text):
        return int(text)
    return text


def _xhtml(node: etree._Element) -> str:
    return etree.tostring(node, encoding="unicode", with_tail=False)


def _add_unknown(result: dict[str, Any], key: str, node: etree._Element) -> None:
    """An element that the tables do not know: what can be told without them."""
    value: Any = node.get("value")
    if key == "div":
        value = _xhtml(node)
    elif len(node) or value is None or len(node.attrib) > 1:
        value = {}
        _fill(value, node, _UNKNOWN_TYPE)
    _add(result, key, value, False)
