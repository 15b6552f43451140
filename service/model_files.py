"""Model files on disk."""

from __future__ import annotations

import os
from pathlib import Path

from linkage.model import Model
from schemas.errors import InputError, InvalidValue, NotFound


def load_model(path: Path) -> Model:
    """A model from its file. Raises: InvalidValue, with the file's name."""
    try:
        return Model.from_json(path.read_bytes())
    except InvalidValue as error:
        raise InvalidValue(f"{path}: {error.reason}") from None


def kept_model(model_file: Path, model_hash: str) -> Model:
    """The model of this hash: the workspace's present one, or a former one kept beside it.

    Raises: NotFound where no file holds it.
    """
    for path in (model_file, kept_file(model_file, model_hash)):
        if path.exists():
            model = load_model(path)
            if model.hash == model_hash:
                return model
    raise NotFound(
        f"the model {model_hash[:12]} is neither {model_file.name} nor kept beside it as"
        f" {kept_file(model_file, model_hash).name}: put that file back"
    )


def kept_file(model_file: Path, model_hash: str) -> Path:
    """Where a former model is kept."""
    return model_file.with_name(f"model-{model_hash[:12]}.json")


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes a file so that it is there whole or not at all, whatever happens meanwhile.

    Args: `mode`: who may read it, less what the system's mask takes.

    Raises: InputError where it cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.unlink(missing_ok=True)  # a run that died may have left one with another mode
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or 'no room'})") from None
    finally:
        temporary.unlink(missing_ok=True)
