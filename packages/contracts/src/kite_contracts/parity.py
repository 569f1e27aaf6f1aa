"""Whether the JSON Schema and the Avro schema of a contract say the same.

Names, order, types, optionality, symbols, units, scales and descriptions must be equal. The JSON
Schema may only narrow values *inside* the Avro type (ranges, patterns, numbers of items), so that
every record it accepts can be written.
"""

from __future__ import annotations

from kite_contracts.avro_shape import INTEGER_RANGES, AvroNode, avro_nodes
from kite_contracts.shape import Node, json_nodes
from kite_contracts.store import Contract

_BYTES_ENCODING = "base64"


def differences(contract: Contract) -> list[str]:
    """One sentence for each thing that the two schemas of ``contract`` do not say alike.

    Raises SchemaError if one of them uses what contracts do not support.
    """
    left = json_nodes(contract.json, f"{contract.name}.schema.json")
    right = avro_nodes(contract.avro, f"{contract.name}.avsc")
    found = [f"{path} is only in the JSON Schema" for path in left if path not in right]
    found += [f"{path} is only in the Avro schema" for path in right if path not in left]
    if not found and list(left) != list(right):
        found.append("the fields have different orders")
    if contract.json.get("title") != contract.avro.get("name"):
        found.append("the title of the JSON Schema is not the name of the Avro record")
    wanted = f"urn:kite:marketdata:{contract.subject}:v{contract.version}"
    if contract.json.get("$id") != wanted:
        found.append(f"the $id of the JSON Schema must be {wanted}")
    for path in left:
        if path in right:
            found += [f"{path or '(root)'} {what}" for what in _compare(left[path], right[path])]
            found += _scale_is_a_field(left[path], left)
    return found


def _compare(node: Node, avro: AvroNode) -> list[str]:
    found = []
    if not _kinds_agree(node, avro):
        found.append(f"is {node.kind} in JSON, but {avro.type_name} in Avro")
    if node.nullable != avro.nullable:
        found.append("may be null in one schema only")
    # Avro's way to say "may be left out" is a default; ours is always null.
    if node.required == avro.has_default or avro.default is not None:
        found.append("must be required in JSON and without default in Avro, or neither")
    if node.nullable and node.required:
        found.append("may be null, so it must be optional too")
    if avro.kind == "enum" and node.enum != avro.symbols:
        found.append(f"has other enum values in JSON {node.enum} than in Avro {avro.symbols}")
    if node.kind == "integer" and avro.type_name in INTEGER_RANGES:
        low, high = INTEGER_RANGES[avro.type_name]
        if node.low is None or node.high is None or node.low < low or node.high > high:
            found.append(f"allows integers that Avro's {avro.type_name} cannot hold")
    annotations = {"unit": node.unit, "scale": node.scale}
    if {key: value for key, value in annotations.items() if value} != avro.attributes:
        found.append(f"has the attributes {annotations} in JSON, but {avro.attributes} in Avro")
    # Plain items of an array need no description of their own.
    if node.doc != avro.doc or not (node.doc or node.path.endswith("/*")):
        found.append("has no description, or another in JSON than in Avro")
    return found


def _kinds_agree(node: Node, avro: AvroNode) -> bool:
    if node.kind == "string":
        if avro.kind == "bytes":
            return node.encoding == _BYTES_ENCODING and node.pattern is not None
        return avro.kind in ("string", "enum") and node.encoding is None
    return node.kind == avro.kind


def _scale_is_a_field(node: Node, nodes: dict[str, Node]) -> list[str]:
    if node.scale is None:
        return []
    target = nodes.get("/" + node.scale)
    if target is None or target.kind != "integer" or not target.required:
        return [f"{node.path} has the scale {node.scale!r}, which is no required integer field"]
    return []
