"use strict";
// The page of `microlith view --serve`: asks the server for pictures and curves; all drawing of the scene is done there.
(function () {
  const token = new URLSearchParams(location.search).get("token");
  const about = JSON.parse(document.getElementById("about").textContent);
  const picture = document.getElementById("picture"), time = document.getElementById("time"), said = document.getElementById("said");
  const curve = document.getElementById("curve"), status = document.getElementById("status");
  let busy = false, waiting = null;

  async function ask(path, values) {
    const query = new URLSearchParams(Object.assign({ token }, values));
    const answer = await fetch(path + "?" + query);
    if (!answer.ok) throw new Error((await answer.text()) || String(answer.status));
    return answer;
  }

  // One question at a time; of those that come meanwhile, turns add up and the latest of each other kind counts.
  async function change(values) {
    if (busy) {
      waiting = Object.assign(waiting || {}, values, waiting && waiting.turn && values.turn
        ? { turn: add(waiting.turn, values.turn) } : {});
      return;
    }
    busy = true;
    try {
      const blob = await (await ask("picture", values)).blob();
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
  time.addEventListener("input", () => { tell(); change({ time: at(Number(time.value)) }); });
  tell();
  for (const box of document.querySelectorAll("input[data-phase]"))
    box.addEventListener("change", () => change({ ["phase" + box.dataset.phase]: box.checked ? 1 : 0 }));
  const axis = document.getElementById("axis"), depth = document.getElementById("depth");
  if (axis) {
    const cut = () => change({ cut: axis.value, depth: depth.value });
    axis.addEventListener("change", cut);
    depth.addEventListener("input", cut);
  }
  let from = null, moved = false;
  picture.addEventListener("mousedown", event => { from = [event.clientX, event.clientY]; moved = false; event.preventDefault(); });
  window.addEventListener("mousemove", event => {
    if (!from) return;
    const dx = event.clientX - from[0], dy = event.clientY - from[1];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    from = [event.clientX, event.clientY];
    change({ turn: `${dx},${dy}` });
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
  document.getElementById("again").addEventListener("click", () => change({ home: 1 }));
  change({});
})();
