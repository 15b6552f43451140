"""How many HL7 v2 messages a second are on the disk and answered, over some connections.

`python -m bench.mllp [--folder FOLDER]`: once with a listener that only takes messages, once with
`commonthread listen`, which has them loaded and linked meanwhile. Each connection sends a message,
waits for its answer, and sends the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter

import numpy as np

from adapters.mllp_frames import framed
from adapters.mllp_server import Place, listen
from adapters.spool import Spool
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SourceSettings
from schemas.settings_interfaces import MllpInterface
from tests.functional import small
from wiring import clock

HERE = MllpInterface("127.0.0.1:0")
PEOPLE = small.with_ids(small.clients(2_000), "acute")
INTERFACE = '[source.interface]\nkind = "mllp"\nlisten = "127.0.0.1:0"\n'


def main() -> None:
    """Measures both, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--folder", help="where messages are written; else a temporary folder")
    parser.add_argument("--take-only", help="(of itself) only take messages, into this folder")
    options = parser.parse_args()
    if options.take_only:
        asyncio.run(_take_only(Path(options.take_only)))
        return
    print("| listener | messages a second | median | 99th | longest |\n|---|---:|---:|---:|---:|")
    for name, started in (("takes only", _taking), ("loads meanwhile", _loading)):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder, started(folder) as port:
            waits = asyncio.run(_sent(port, options.connections, options.seconds))
        told = [f"{1_000 * float(np.quantile(waits, q)):.1f} ms" for q in (0.5, 0.99, 1)]
        print(f"| {name} | {len(waits) / options.seconds:,.0f} | {' | '.join(told)} |")


async def _take_only(folder: Path) -> None:
    file = FileSettings("*", "hl7v2")
    source = SourceSettings(
        SourceId("acute"), "A", (OdsCode("RA7"),), (file,), interface=HERE, local_id_system="RA7"
    )  # fmt: skip
    place = Place(source, HERE, Limits(), Spool(folder, clock), folder, clock)
    await listen([place], lambda: True, asyncio.Event())


@contextmanager
def _taking(folder: str) -> Iterator[int]:
    command = [sys.executable, "-c", "import logging; logging.basicConfig(level=20)\n"
               "from bench.mllp import main; main()", "--take-only", folder]  # fmt: skip
    with _started(command) as port:
        yield port


@contextmanager
def _loading(folder: str) -> Iterator[int]:
    """A partnership of 2,000 people after its night."""
    program, root = Path(sys.executable).with_name("commonthread"), Path(folder) / "p"
    subprocess.run([program, "-w", root, "init"], check=True, stdout=subprocess.DEVNULL)
    small.rewrite_settings(root, batch_units=4_000)
    with (root / "partnership.toml").open("a", encoding="utf-8") as settings:
        settings.write(INTERFACE)
    for source in small.FEEDS:
        (root / "inbox" / source).mkdir()
    small.put_all(root, small.clients(2_000))
    subprocess.run([program, "-w", root, "nightly"], check=True, stdout=subprocess.DEVNULL)
    with _started([str(program), "--workspace", str(root), "listen"]) as port:
        yield port


@contextmanager
def _started(command: list[str]) -> Iterator[int]:
    """A listener as a process of its own; the port at which it answers."""
    nowhere, told = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, stdout=nowhere, stderr=told, text=True) as process:
        assert process.stderr is not None
        found = next(filter(None, (re.search(r"port (\d+)", line) for line in process.stderr)))
        draining = subprocess.Popen(["cat"], stdin=process.stderr, stdout=nowhere)
        try:
            yield int(found[1])
        finally:
            process.terminate()
            process.wait()
            draining.wait()


async def _sent(port: int, connections: int, seconds: float) -> list[float]:
    """Sends for so many seconds; how long each message waited for its answer, in seconds."""
    waits: list[float] = []
    numbers, end = count(), perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while perf_counter() < end:
            n = next(numbers)
            text = small.message(PEOPLE[n % len(PEOPLE)]).replace("A28", "A01")
            block = framed(f"{text}PV1|1|I|W1|||||||||||||||V{n}\r".encode())
            began = perf_counter()
            writer.write(block)
            told = await reader.readuntil(b"\x1c\r")
            waits.append(perf_counter() - began)
            if b"\rMSA|AA|" not in told:
                raise SystemExit(f"not taken: {json.dumps(told.decode())}")
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return waits


if __name__ == "__main__":
    main()
