"""The rooms, as the picture in CONTRIBUTING.md has them: the one table of floors."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


@dataclass(frozen=True)
class Room:
    """A package, or a module, of the service or the engine."""

    name: str
    """As it is imported."""

    floor: int
    """1 is the lowest."""

    path: Path
    """Its folder or file."""

    sentence: str
    modules: tuple[str, ...]
    """The modules to know."""


def read_rooms() -> list[Room]:
    """The rooms of the picture, from the top down."""
    [picture] = re.findall(r"```\nfloor +room .*\n([^`]*)```", CONTRIBUTING)
    rooms, floor = [], 0
    for lines in re.split(r"\n(?! {16})", picture.rstrip("\n")):
        first, *modules = lines.splitlines()
        number, name, sentence = re.fullmatch(r" +(\d*) +(\w+/?) {2,}(\S.*)", first).groups()
        floor = int(number) if number else floor
        package, is_folder = name.removesuffix("/"), name.endswith("/")
        path = ROOT / ("" if package == "lt_core" else "tune_app") / package
        module = ".".join(path.relative_to(ROOT).parts)
        known = tuple(re.findall(r"\w+", " ".join(modules)))
        path = path if is_folder else path.with_suffix(".py")
        rooms.append(Room(module, floor, path, sentence, known))
    return rooms


ROOMS = read_rooms()
