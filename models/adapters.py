"""A ranker's weights on the move: as a folder that peft reads, and as one Kafka record for the hot swap."""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from models.durable import appearing
from models.errors import AdapterError, InputError, Refusal
from models.ranker import Ranker
from models.state import Arrays
from models.twin import FAST, SLOW

RECORD_LIMIT = 900_000  # bytes: a broker's default limit is 1,048,588 for the whole request
FORMAT = 1
_MAGIC = b"HWAD"
_HEAD = struct.Struct(">4s32sI")  # magic, SHA-256 of the rest after it, length of the JSON header
_UNPACKED_LIMIT = 64_000_000  # bytes: no honest record of 900 KB holds more
_MANIFEST, _TENSORS = "manifest.json", "headwater.safetensors"
_LORA_TENSORS = "adapter_model.safetensors"  # as peft names it


def save_adapter(
    ranker: Ranker, path: Path, *, version: str, record: Mapping[str, object] | None = None
) -> None:
    """Write the ranker's weights as the folder `path`, which appears whole or not at all.

    With a deep part the folder is also a peft adapter: `peft.PeftModel.from_pretrained(backbone, path)`
    loads its LoRA, and from `path / "slow"` a twin's slow adapter. The rest is in headwater.safetensors, and
    `record`, what it says of itself, in manifest.json.
    Raises AdapterError when `path` exists, OSError or SafetensorError when the disk does not take it.
    """
    if path.exists():
        raise AdapterError(f"{path} exists; an adapter is never overwritten")
    rest = {name: array for name, array in ranker.snapshot().items() if not _is_lora(name)}
    manifest: dict[str, object] = {"format": FORMAT, "version": version, "fingerprint": ranker.fingerprint()}
    if record is not None:
        manifest["record"] = dict(record)
    with appearing(path) as partial:
        if ranker.deep:
            ranker.deep.save_lora(partial)
        safetensors.numpy.save_file(rest, partial / _TENSORS)
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def load_adapter(ranker: Ranker, path: Path) -> str:
    """Take the weights of the folder `path`; returns their version.

    Raises AdapterError, and the ranker keeps its weights, when the folder is damaged or of another ranker.
    """
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        arrays: Arrays = dict(safetensors.numpy.load_file(path / _TENSORS))
        if ranker.deep:
            arrays |= _read_lora(path, adapter=FAST)
            if (path / SLOW).is_dir():
                arrays |= _read_lora(path / SLOW, adapter=SLOW)
    except (OSError, ValueError, SafetensorError) as error:
        raise AdapterError(f"cannot read the adapter in {path}: {error}") from error
    return _take(ranker, manifest, arrays)


def pack(ranker: Ranker, *, version: str, weights: Arrays | None = None) -> bytes:
    """The ranker's weights, or others of its shape, as one record below RECORD_LIMIT bytes.

    The deep part travels as float16, the wide part as it is: scores of a ranker that applied the record
    equal the sender's but for that rounding. Raises AdapterError when the record would be too large.
    """
    arrays = {name: _narrow(name, array) for name, array in (weights or ranker.snapshot()).items()}
    header = {"format": FORMAT, "version": version, "fingerprint": ranker.fingerprint()}
    header_bytes = json.dumps(header).encode()
    rest = header_bytes + zlib.compress(safetensors.numpy.save(arrays), level=1)
    record = _HEAD.pack(_MAGIC, hashlib.sha256(rest).digest(), len(header_bytes)) + rest
    if len(record) >= RECORD_LIMIT:
        raise AdapterError(
            f"the adapter takes {len(record):,} bytes; a record may have {RECORD_LIMIT:,}: "
            "lower DeepConfig.id_buckets, id_dim or lora_rank"
        )
    return record


def apply(ranker: Ranker, record: bytes) -> str:
    """Swap the weights of a `pack`ed record into the ranker, between two batches; returns their version.

    Everything is verified before anything is changed: on AdapterError (damaged, of another ranker, not
    finite) the ranker keeps its weights.
    """
    header, arrays = _unpack(record)
    version = _take(ranker, header, arrays)
    if ranker.deep:
        ranker.deep.refresh()
    return version


def unpacked(record: bytes) -> Arrays:
    """The weights of a `pack`ed record by name; AdapterError when it is damaged."""
    return _unpack(record)[1]


def _open(record: bytes) -> tuple[dict[str, object], bytes]:
    if len(record) > RECORD_LIMIT:
        raise AdapterError(
            f"the adapter record has {len(record):,} bytes; it may have {RECORD_LIMIT:,}",
            refusal=Refusal.TOO_LARGE,
        )
    if len(record) < _HEAD.size or record[:4] != _MAGIC:
        raise AdapterError(f"not an adapter record: {len(record)} bytes beginning with {record[:4]!r}")
    _, digest, header_length = _HEAD.unpack_from(record)
    rest = record[_HEAD.size :]
    if hashlib.sha256(rest).digest() != digest:
        raise AdapterError(
            f"the adapter record of {len(record)} bytes is damaged: its checksum does not match"
        )
    header = _header(rest[:header_length])
    if header.get("format") != FORMAT:
        raise AdapterError(
            f"the adapter record has format {header.get('format')}; this version reads {FORMAT}"
        )
    return header, rest[header_length:]


def _header(text: bytes) -> dict[str, object]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"the adapter record's header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise AdapterError(f"the adapter record's header is {str(header)[:40]!r}; it must be an object")
    if not isinstance(header.get("version"), str):
        raise AdapterError(f"the adapter record has the version {str(header.get('version'))[:40]!r}, no text")
    return header


def _unpack(record: bytes) -> tuple[dict[str, object], Arrays]:
    header, body = _open(record)
    try:
        inflater = zlib.decompressobj()
        tensors = inflater.decompress(body, _UNPACKED_LIMIT)
        if inflater.unconsumed_tail:
            raise AdapterError(
                f"the adapter record holds more than {_UNPACKED_LIMIT:,} bytes", refusal=Refusal.TOO_LARGE
            )
        arrays: Arrays = dict(safetensors.numpy.load(tensors))
    except (zlib.error, SafetensorError, ValueError) as error:
        raise AdapterError(f"the adapter record cannot be unpacked: {error}") from error
    return header, {name: _widen(array) for name, array in arrays.items()}


def _take(ranker: Ranker, header: dict[str, object], arrays: Arrays) -> str:
    if header.get("format") != FORMAT:
        raise AdapterError(f"the adapter has format {header.get('format')}; this version reads {FORMAT}")
    if header.get("fingerprint") != ranker.fingerprint():
        raise AdapterError(
            f"adapter {header.get('version')} was made for the ranker {header.get('fingerprint')}, this one "
            f"is {ranker.fingerprint()}: features, backbone or sizes differ",
            refusal=Refusal.OTHER_RANKER,
        )
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise AdapterError(
                f"adapter {header.get('version')}: {name} holds values that are not finite",
                refusal=Refusal.NOT_FINITE,
            )
    try:
        ranker.restore(arrays)
    except InputError as error:
        raise AdapterError(
            f"adapter {header.get('version')} does not fit: {error}", refusal=Refusal.WRONG_SHAPE
        ) from error
    return str(header["version"])


def _narrow(name: str, array: NDArray[np.generic]) -> NDArray[np.generic]:
    if not name.startswith("deep.") or array.dtype != np.float32:
        return array
    with np.errstate(over="raise"):
        try:
            return array.astype(np.float16)
        except FloatingPointError as error:
            raise AdapterError(f"{name} has values beyond float16: {np.abs(array).max()}") from error


def _widen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _is_lora(name: str) -> bool:
    return name.startswith("deep.backbone.")


def _read_lora(folder: Path, *, adapter: str) -> Arrays:
    """peft leaves the adapter's name out of the file: …lora_A.weight is …lora_A.default.weight in memory."""
    arrays: Arrays = {}
    for name, array in safetensors.numpy.load_file(folder / _LORA_TENSORS).items():
        stem, _, last = name.rpartition(".")
        arrays[f"deep.backbone.{stem}.{adapter}.{last}"] = array
    return arrays
