"""Match: who is this? Asked with a file, so that no person's details stand in a command line."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from commands.common import finish, json_option, opened, purpose_option
from schemas.errors import InputError


@click.command()
@click.argument("question", type=click.File("rb"), default="-")
@click.option("--only-certain", is_flag=True, help="Nobody but a person who is certain.")
@click.option("--count", type=int, help="At most so many persons.")
@json_option
@purpose_option
@click.pass_obj
def match(
    root: Path,
    question: IO[bytes],
    only_certain: bool,
    count: int | None,
    as_json: bool,
    purpose: str | None,
) -> None:
    """The persons who may be the one that QUESTION describes, the likeliest first.

    QUESTION is a file with one JSON object (standard input by default), such as
    {"given": "Ann", "family": "Example", "birth_date": "1980-05-04", "postcode": "BS1 5TR"}.
    """
    import msgspec

    from service.match_lines import match_document, match_lines
    from service.matching import match as asked
    from service.warm_index import open_index
    from wiring import clock

    try:
        fields = msgspec.json.decode(question.read(), type=dict[str, str | list[str]])
    except msgspec.ValidationError:
        raise InputError(
            f"{question.name}: the question is not one JSON object whose values are texts or lists"
            " of texts; something of another kind stands there"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(
            f"{question.name}: the question cannot be read as JSON in UTF-8: it is empty, breaks"
            " off, or lacks a quote, comma or bracket; expected one object, see `match --help`"
        ) from None
    workspace = opened(root)
    actor = workspace.actor("match", purpose)
    with workspace.store() as store:
        index = open_index(store, workspace.settings, workspace.model_file)
        result = asked(store, index, actor, fields, clock, only_certain=only_certain, count=count)
    finish(match_document(result), match_lines(result), as_json)
