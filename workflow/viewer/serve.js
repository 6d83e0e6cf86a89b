"use strict";
// The page of `microlith view --serve`: asks the server for pictures and curves; all drawing of the scene is done there.
(function () {
  const token = new URLSearchParams(location.search).get("token");
  const about = JSON.parse(document.getElementById("about").textContent);
  const picture = document.getElementById("picture"), time = document.getElementById("time"), said = document.getElementById("said");
  const curve = document.getElementById("curve"), status = document.getElementById("status");
  const boxes = document.querySelectorAll("input[data-phase]");
  const axis = document.getElementById("axis"), depth = document.getElementById("depth");
  let busy = false, waiting = null;

  async function ask(path, values) {
    const query = new URLSearchParams(Object.assign({ token }, values));
    const answer = await fetch(path + "?" + query);
    if (!answer.ok) throw new Error((await answer.text()) || String(answer.status));
    return answer;
  }

  // What the picture shows is said whole each time: another page, or this one before it was loaded again, may have
  // asked for something else. One question at a time; turns, moves and zooms that come meanwhile add up.
  async function change(moves) {
    if (busy) { waiting = joined(waiting || {}, moves); return; }
    busy = true;
    try {
      const blob = await (await ask("picture", Object.assign(controls(), moves))).blob();
      const old = picture.src;
      picture.src = URL.createObjectURL(blob);
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      await picture.decode();
      picture.dataset.number = String(Number(picture.dataset.number || 0) + 1);
      status.textContent = "";
    } catch (error) { status.textContent = "The server does not answer: " + error.message; }
    busy = false;
    if (waiting) { const next = waiting; waiting = null; change(next); }
  }

  function joined(before, moves) {
    if (moves.home) return moves;
    const both = Object.assign({}, before, moves);
    for (const kind of ["turn", "move"]) if (before[kind] && moves[kind]) both[kind] = add(before[kind], moves[kind]);
    if (before.zoom && moves.zoom) both.zoom = before.zoom * moves.zoom;
    return both;
  }

  function controls() {
    const values = { time: at(Number(time.value)) };
    for (const box of boxes) values["phase" + box.dataset.phase] = box.checked ? 1 : 0;
    return axis ? Object.assign(values, { cut: axis.value, depth: depth.value }) : values;
  }

  function add(one, other) {
    const a = one.split(",").map(Number), b = other.split(",").map(Number);
    return `${a[0] + b[0]},${a[1] + b[1]}`;
  }

  function at(value) {  // the slider is even over the snapshots, whatever the times between them
    const last = about.times.length - 1, place = Math.min(Math.max(value, 0), last), k = Math.min(Math.floor(place), Math.max(last - 1, 0));
    return last < 1 ? about.times[0] : about.times[k] + (place - k) * (about.times[k + 1] - about.times[k]);
  }

  time.max = about.times.length - 1;
  time.value = about.step;
  const tell = () => { said.textContent = Number(at(Number(time.value)).toPrecision(4)) + " s"; };
  time.addEventListener("input", () => { tell(); change({}); });
  tell();
  for (const box of boxes) box.addEventListener("change", () => change({}));
  if (axis) {
    axis.addEventListener("change", () => change({}));
    depth.addEventListener("input", () => change({}));
  }
  let from = null, moved = false;
  picture.addEventListener("mousedown", event => { from = [event.clientX, event.clientY]; moved = false; event.preventDefault(); });
  window.addEventListener("mousemove", event => {
    if (!from) return;
    const dx = event.clientX - from[0], dy = event.clientY - from[1];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    from = [event.clientX, event.clientY];
    const wide = picture.getBoundingClientRect().width;
    change(axis ? { turn: `${dx},${dy}` } : { move: `${dx / wide},${dy / wide}` });
  });
  window.addEventListener("mouseup", async event => {
    const started = from;
    from = null;
    if (!started || moved || event.target !== picture) return;
    const corner = picture.getBoundingClientRect();
    const x = (event.clientX - corner.left) / corner.width, y = (event.clientY - corner.top) / corner.height;
    try {
      const found = await (await ask("point", { x, y })).json();
      curve.textContent = "";
      if (!found) { curve.textContent = "Nothing is there."; return; }
      const box = document.createElement("div");
      box.className = "chart";
      box.id = "picked";
      const data = document.createElement("script");
      data.type = "application/json";
      data.textContent = JSON.stringify(found);
      box.appendChild(data);
      const name = document.createElement("h3");
      name.textContent = found.title;
      curve.appendChild(name);
      curve.appendChild(box);
      window.drawChart(box);
    } catch (error) { status.textContent = "The server does not answer: " + error.message; }
  });
  picture.addEventListener("wheel", event => { event.preventDefault(); change({ zoom: event.deltaY < 0 ? 1.1 : 1 / 1.1 }); }, { passive: false });
  document.getElementById("again").addEventListener("click", () => {
    time.value = about.step;
    tell();
    for (const box of boxes) box.checked = box.defaultChecked;
    if (axis) {
      axis.value = [...axis.options].find(option => option.defaultSelected).value;
      depth.value = depth.defaultValue;
    }
    change({ home: 1 });
  });
  change({});
})();
