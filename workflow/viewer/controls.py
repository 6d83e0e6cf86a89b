"""What a user can do in the window of `microlith view`: a slider, boxes to tick, a plane to drag, and keys."""

from collections.abc import Callable
from functools import partial
from typing import Any

from microlith.workflow.pictures.figure import said_time
from microlith.workflow.rendering.projection import VIEW
from microlith.workflow.viewer.scene import Show

BOX = 25  # pixels, of a box to tick
ROOM = 40  # pixels from one box to the next, where there are few
ALONG = {"x": (1.0, 0.0, 0.0), "y": (0.0, -1.0, 0.0), "z": (0.0, 0.0, -1.0)}  # towards the viewer, by key


class Controls:
    """The controls of a window."""

    def __init__(self, show: Show) -> None:
        """Add them to what is shown."""
        self.show = show
        self._slider: Any = None
        self._hints_on = True
        self._planes_normal_and_origin = show.plane
        self._add_slider()
        self._add_boxes()
        self._add_plane()
        for key, (_, act) in self.keys().items():
            show.plotter.add_key_event(key, act)
        self._write_hints()

    def keys(self) -> dict[str, tuple[str, Callable[[], None]]]:
        """Key -> what it does in words, and the function; those without words belong to one before."""
        show = self.show
        found: dict[str, tuple[str, Callable[[], None]]] = {}
        if self._has_times:
            found |= {"Right": ("left/right: snapshots", lambda: self.step(1)), "Left": ("", lambda: self.step(-1))}
        if show.results.dim == 3:
            words = "x/y/z: look along"
            for key, direction in ALONG.items():
                found[key] = (words, partial(self._look, direction))
                words = ""
            found["c"] = ("c: cut on/off", self.cut_or_not)
        found["0"] = ("0: as at first", lambda: self._look(VIEW if show.results.dim == 3 else ALONG["z"]))
        found["h"] = ("h: hide this", self.hints)
        return found

    @property
    def _has_times(self) -> bool:
        return self.show.variable == "concentration" and len(self.show.results.times) > 1

    def step(self, by: int) -> None:
        """Go to the next snapshot, or the one before."""
        last = len(self.show.results.times) - 1
        wanted = min(max(self.show.step + by, 0), last)
        if self._slider is not None:
            self._slider.GetRepresentation().SetValue(wanted)
            # PyVista writes the text of a slider over texts when it is moved by hand only
            self._slider.GetRepresentation().SetTitleText(said_time(float(self.show.results.times[wanted])))
        self.show.go_to(wanted)
        self.show.plotter.render()

    def cut_or_not(self) -> None:
        """Take the cut away, or put it back where it was."""
        if self.show.plane is not None:
            self._planes_normal_and_origin = self.show.plane
            self.show.plotter.clear_plane_widgets()
            self.show.uncut()
        elif self._planes_normal_and_origin is not None:
            self.show.cut(*self._planes_normal_and_origin)
            self._add_plane()
        self.show.plotter.render()

    def hints(self) -> None:
        """Show what keys do, or hide it."""
        self._hints_on = not self._hints_on
        self._write_hints()
        self.show.plotter.render()

    def hint_text(self) -> str:
        """What mouse and keys do."""
        words = [words for words, _ in self.keys().values() if words]
        mouse = "drag: turn   shift + drag: move   wheel: zoom"
        return "\n".join(["", f"{mouse}  ", f"{'   '.join([*words, 'q: close'])}  "])

    def _look(self, direction: Any) -> None:
        self.show.look_along(direction)
        self.show.plotter.render()

    def _write_hints(self) -> None:
        plotter = self.show.plotter
        if not self._hints_on:
            plotter.remove_actor("hints", render=False)
            return
        plotter.add_text(
            self.hint_text(), position="upper_right", font_size=9, color=(0.35,) * 3, name="hints", render=False
        )

    def _add_slider(self) -> None:
        if not self._has_times:
            return
        labels = [said_time(float(time)) for time in self.show.results.times]
        self._slider = self.show.plotter.add_text_slider_widget(
            lambda label: self.show.go_to(labels.index(label)),
            data=labels,
            value=self.show.step,
            pointa=(0.3, 0.1),
            pointb=(0.75, 0.1),
            color="black",
            style="modern",
        )

    def _add_boxes(self) -> None:
        show = self.show
        room = min(ROOM, int(0.6 * show.plotter.window_size[1] / max(1, len(show.phases))))
        size = min(BOX, room - 4)
        for place, phase in enumerate(reversed(show.phases)):
            height = 20 + room * place
            colour = show.colour(phase)
            solved = phase not in {body.phase for body in show.look.bodies}
            show.plotter.add_checkbox_button_widget(
                lambda on, phase=phase: show.switch(phase, bool(on)),
                value=show.shown[phase],
                position=(20, height),
                size=size,
                border_size=2,
                color_on="#444444" if solved and show.variable == "concentration" else colour,
                color_off="white",
                background_color="black",
            )
            name = show.results.names[phase]
            show.plotter.add_text(
                name, position=(size + 30, height), font_size=10, color="black", name=f"phase {phase}"
            )

    def _add_plane(self) -> None:
        if self.show.plane is not None:
            normal, origin = self.show.plane
            self.show.plotter.add_plane_widget(
                self.show.cut, normal=normal, origin=origin, color="black", factor=1.02, test_callback=False
            )
