"""Charts of reports, drawn once a kind for tests that look at other things: drawing is half
the work of a small night. What is drawn is tested in tests/browser and tests/audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import vl_convert

_DRAWN: dict[str, str] = {}


@pytest.fixture(autouse=True, scope="package")
def drawn_once() -> Iterator[None]:
    """A chart of a kind that was drawn before is given as it was drawn then."""
    real = vl_convert.vegalite_to_svg

    def draw(spec: dict[str, Any], *arguments: Any, **options: Any) -> str:
        kind = json.dumps({k: v for k, v in spec.items() if k not in ("data", "datasets")})
        if kind not in _DRAWN:
            _DRAWN[kind] = real(spec, *arguments, **options)
        return _DRAWN[kind]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_svg", draw)
        yield
