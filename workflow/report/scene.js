"use strict";
// Surfaces of a 3D run, to turn with the mouse or a finger, to zoom with the wheel or two fingers, to cut open. The numbers
// stand in the page: coordinates and concentrations of 16 bits, triangles of 32. WebGL, no library, no network.
(function () {
  const VERTEX = `#version 300 es
    in vec3 place; in float level;
    uniform mat3 turn; uniform vec3 middle; uniform vec2 stretch; uniform float zoom;
    out vec3 at; out vec3 seen; out float shade;
    void main() {
      at = place; shade = level;
      vec3 p = turn * ((place - middle) * vec3(1.0, -1.0, -1.0));
      seen = p;
      gl_Position = vec4(p.xy * zoom * stretch, -0.3 * p.z, 1.0);
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 at; in vec3 seen; in float shade;
    uniform sampler2D colours; uniform vec3 axis; uniform float cut; uniform float plain;
    out vec4 colour;
    void main() {
      if (dot(at, axis) > cut) discard;
      if (plain > 0.5) { colour = vec4(0.25, 0.25, 0.25, 1.0); return; }
      vec3 normal = normalize(cross(dFdx(seen), dFdy(seen)));
      float light = 0.55 + 0.45 * abs(dot(normal, normalize(vec3(0.35, 0.45, 1.0))));
      colour = vec4(texture(colours, vec2((shade * 255.0 + 0.5) / 256.0, 0.5)).rgb * light, 1.0);
    }`;

  function bytes(text) {
    const raw = atob(text), found = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
    return found;
  }

  function said(value) {
    return String(Number(value.toPrecision(4))).replace("-", "\u2212");
  }

  function child(parent, name, text) {
    const found = document.createElement(name);
    if (text) found.textContent = text;
    parent.appendChild(found);
    return found;
  }

  function button(parent, text, pressed, act) {
    const found = child(parent, "button", text);
    found.className = pressed ? "" : "off";
    found.setAttribute("aria-pressed", pressed);
    found.addEventListener("click", () => act(found));
    return found;
  }

  function withoutWebGL(box) {
    const said = child(box, "p", "This browser has no WebGL, which draws the scene; here is the last snapshot instead.");
    said.className = "quiet";
    const pictures = document.querySelectorAll("figure.snapshot img");
    if (pictures.length) {
      const copy = child(box, "img");
      copy.src = pictures[pictures.length - 1].src;
      copy.style.maxWidth = "100%";
    }
  }

  function program(gl) {
    const found = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(found, shader);
    }
    gl.bindAttribLocation(found, 0, "place");
    gl.bindAttribLocation(found, 1, "level");
    gl.linkProgram(found);
    return found;
  }

  // Rotations as rows of three
  function times(a, b) {
    const found = [];
    for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) found.push(a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j]);
    return found;
  }
  function about(axis, angle) {
    const c = Math.cos(angle), s = Math.sin(angle);
    return axis === 0 ? [1, 0, 0, 0, c, -s, 0, s, c] : [c, 0, s, 0, 1, 0, -s, 0, c];
  }

  function scene(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!gl) return withoutWebGL(box);
    const longest = Math.max(...data.extent_um), extent = data.extent_um.map(edge => edge / longest);
    const corners = data.layers.some(layer => layer.towards !== null);
    const start = times(about(0, 0.45), about(1, -0.55));
    const state = { turn: start, zoom: 1, time: data.times.length - 1, axis: 0, cut: 1 };
    const bar = child(box, "div");
    bar.className = "bar";
    const view = child(box, "div");
    view.className = "scene-box";
    view.appendChild(canvas);
    const letters = ["x", "y", "z"].map(name => child(view, "span", name));
    canvas.className = "scene-view";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", data.title);

    const shader = program(gl), at = name => gl.getUniformLocation(shader, name);
    gl.useProgram(shader);
    gl.enable(gl.DEPTH_TEST);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, bytes(data.colours));
    for (const key of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, key, gl.LINEAR);
    for (const key of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, key, gl.CLAMP_TO_EDGE);

    function buffer(kind, content) {
      const found = gl.createBuffer();
      gl.bindBuffer(kind, found);
      gl.bufferData(kind, content, gl.STATIC_DRAW);
      return found;
    }

    const layers = data.layers.map(layer => {
      const array = gl.createVertexArray();
      gl.bindVertexArray(array);
      buffer(gl.ARRAY_BUFFER, bytes(layer.position));
      gl.enableVertexAttribArray(0);
      gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, 0, 0);
      const levels = layer.values.map(values => buffer(gl.ARRAY_BUFFER, bytes(values)));
      gl.enableVertexAttribArray(1);
      buffer(gl.ELEMENT_ARRAY_BUFFER, bytes(layer.cells));
      return { array, levels, count: 3 * layer.triangles, shown: layer.towards !== null || !corners, name: layer.name };
    });

    const frame = gl.createVertexArray();
    gl.bindVertexArray(frame);
    const ends = [];
    for (let i = 0; i < 8; i++) for (let k = 0; k < 3; k++) if (!(i >> k & 1)) for (const j of [i, i | 1 << k]) for (let m = 0; m < 3; m++) ends.push((j >> m & 1) * extent[m]);
    buffer(gl.ARRAY_BUFFER, new Float32Array(ends));
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);

    function draw() {
      const width = canvas.clientWidth, height = canvas.clientHeight, dense = window.devicePixelRatio || 1;
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(1, 1, 1, 1);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const reach = 1.05 * Math.hypot(...extent) / 2;
      gl.uniformMatrix3fv(at("turn"), true, state.turn);
      gl.uniform3fv(at("middle"), extent.map(edge => edge / 2));
      const short = Math.min(width, height);
      gl.uniform2f(at("stretch"), short / width / reach, short / height / reach);
      gl.uniform1f(at("zoom"), state.zoom);
      gl.uniform3fv(at("axis"), [0, 1, 2].map(k => k === state.axis ? 1 : 0));
      gl.uniform1f(at("plain"), 0);
      gl.uniform1f(at("cut"), state.cut >= 1 ? 2 : state.cut * extent[state.axis]);
      for (const layer of layers) {
        if (!layer.shown) continue;
        gl.bindVertexArray(layer.array);
        gl.bindBuffer(gl.ARRAY_BUFFER, layer.levels[state.time]);
        gl.vertexAttribPointer(1, 1, gl.UNSIGNED_SHORT, true, 0, 0);
        gl.drawElements(gl.TRIANGLES, layer.count, gl.UNSIGNED_INT, 0);
      }
      gl.uniform1f(at("plain"), 1);
      gl.uniform1f(at("cut"), 2);
      gl.bindVertexArray(frame);
      gl.drawArrays(gl.LINES, 0, 24);
      letters.forEach((letter, k) => {  // beside the middle of the edge along each axis that begins at the first corner
        const p = extent.map((edge, m) => ((m === k ? 0.5 : -0.03) * edge - edge / 2) * (m === 0 ? 1 : -1));
        const [x, y] = [0, 1].map(i => state.turn[3 * i] * p[0] + state.turn[3 * i + 1] * p[1] + state.turn[3 * i + 2] * p[2]);
        letter.style.left = width / 2 + x * state.zoom * short / reach / 2 + "px";
        letter.style.top = height / 2 - y * state.zoom * short / reach / 2 + "px";
      });
    }

    layers.forEach(layer => button(bar, layer.name, layer.shown, self => {
      layer.shown = !layer.shown;
      self.className = layer.shown ? "" : "off";
      self.setAttribute("aria-pressed", layer.shown);
      draw();
    }));
    const moments = child(bar, "select");
    data.times.forEach((time, i) => { child(moments, "option", "after " + time).value = i; });
    moments.value = state.time;
    moments.addEventListener("change", () => { state.time = Number(moments.value); draw(); });
    const axes = child(bar, "select");
    ["x", "y", "z"].forEach((name, i) => { child(axes, "option", "cut across " + name).value = i; });
    axes.addEventListener("change", () => { state.axis = Number(axes.value); draw(); });
    const cut = child(bar, "input");
    Object.assign(cut, { type: "range", min: 0, max: 1, step: 0.005, value: 1 });
    cut.setAttribute("aria-label", "where to cut");
    cut.addEventListener("input", () => { state.cut = Number(cut.value); draw(); });
    button(bar, "as at first", true, () => { state.turn = start; state.zoom = 1; state.cut = cut.value = 1; draw(); });

    data.scales.forEach(scale => {
      const shown = child(box, "div");
      shown.className = "scale";
      child(shown, "span", said(scale.low));
      const map = bytes(data.colours), stops = [];
      for (let i = 0; i < 256; i += 15) stops.push(`rgb(${map[3 * i]},${map[3 * i + 1]},${map[3 * i + 2]})`);
      child(shown, "i").style.background = `linear-gradient(to right, ${stops.join(",")})`;
      child(shown, "span", `${said(scale.high)} ${data.unit}`);
      if (data.scales.length > 1) child(shown, "span", scale.phases.join(", "));
    });
    const [x, y, z] = data.extent_um.map(said);
    child(box, "p", `${x} × ${y} × ${z} µm (x, y, z), ${data.triangles.toLocaleString("en")} triangles` +
      (data.triangles < data.triangles_of_mesh ? ` of the ${data.triangles_of_mesh.toLocaleString("en")} of the mesh` : "") +
      ". Drag to turn, wheel or two fingers to zoom.").className = "quiet";

    const fingers = new Map();
    let apart = 0;
    canvas.addEventListener("pointerdown", event => {
      fingers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
      apart = 0;
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", event => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      fingers.set(event.pointerId, event);
      if (fingers.size === 1) {
        const across = (event.clientX - before.clientX) * 0.01, down = (event.clientY - before.clientY) * 0.01;
        state.turn = times(times(about(0, down), about(1, across)), state.turn);
      } else {
        const [a, b] = [...fingers.values()], now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
        if (apart) zoomed(now / apart);
        apart = now;
      }
      draw();
    });
    const up = event => { fingers.delete(event.pointerId); apart = 0; };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    function zoomed(factor) { state.zoom = Math.min(40, Math.max(0.3, state.zoom * factor)); }
    canvas.addEventListener("wheel", event => {
      zoomed(Math.exp(-event.deltaY * 0.0015));
      event.preventDefault();
      draw();
    }, { passive: false });
    window.addEventListener("resize", draw);
    window.addEventListener("beforeprint", draw);
    draw();
    box.dataset.drawn = "yes";
  }
  document.querySelectorAll(".scene").forEach(box => {
    try { scene(box); } catch (error) { console.warn("scene: " + error.message); withoutWebGL(box); }
  });
})();
