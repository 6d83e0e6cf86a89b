"""Movies from pictures: GIF by Pillow, MP4 by ffmpeg where there is one."""

import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.writing import whole_file
from microlith.workflow.rendering.renderer import survive_broken_pipes

Picture = NDArray[np.uint8]  # (rows, columns, 3)

MOVIES = (".gif", ".mp4")
LENGTH = 10.0  # seconds, unless that makes pictures shorter or longer than:
SHORTEST, LONGEST = 0.04, 1.0  # seconds that a picture stays
RATE = 25  # frames per second of an MP4


def write_movie(path: Path, pictures: Iterable[Picture], count: int) -> None:
    """Write a movie in which each picture stays for the same time, a second where there are few.

    Args:
        path: Ends in one of MOVIES; it appears whole or not at all.
        pictures: Of one size, even numbers of rows and columns; taken in turn.
        count: How many.

    Raises:
        InputError: The file can't be written, or there is no ffmpeg for an MP4.
    """
    stay = float(np.clip(LENGTH / count, SHORTEST, LONGEST))
    if path.suffix.lower() == ".gif":
        _write_gif(path, pictures, stay)
    else:
        _write_mp4(path, pictures, stay, ffmpeg())


def ffmpeg() -> str:
    """Path of ffmpeg: that of the package imageio-ffmpeg, or one on the PATH.

    Raises:
        InputError: There is none.
    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
    if found is None:
        raise InputError("--movie: an .mp4 needs ffmpeg (pip install imageio-ffmpeg), which is not here; name a .gif")
    return found


def _write_gif(path: Path, pictures: Iterable[Picture], stay: float) -> None:
    from PIL import Image

    images = [Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    with whole_file(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 * stay), loop=0
        )


def _write_mp4(path: Path, pictures: Iterable[Picture], stay: float, program: str) -> None:
    with whole_file(path) as temporary:
        ordered = iter(pictures)
        first = next(ordered)
        rows, columns = first.shape[:2]
        form = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{columns}x{rows}", "-r", str(RATE), "-i", "-"]
        command = [program, "-y", "-loglevel", "error", *form, "-pix_fmt", "yuv420p", "-f", "mp4", str(temporary)]
        survive_broken_pipes()
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            with suppress(BrokenPipeError):  # its status says why
                for picture in chain([first], ordered):
                    for _ in range(max(1, round(RATE * stay))):
                        child.stdin.write(picture.tobytes())  # type: ignore[union-attr]  # a pipe
            _, said = child.communicate()
        finally:
            child.kill()
        if child.returncode != 0:
            reason = said.decode(errors="replace").strip().splitlines()
            raise OSError(0, f"ffmpeg: {reason[-1] if reason else child.returncode}")
