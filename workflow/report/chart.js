"use strict";
// Charts of curves as SVG, from the numbers that stand in the page. Drag to zoom, double-click to see all again, point to
// read values off, click a name to hide its curve. No library, no network.
(function () {
  const NS = "http://www.w3.org/2000/svg";
  const COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"];
  const W = 760, H = 380, L = 84, R = 14, T = 12, B = 46;

  function element(name, attributes, parent) {
    const found = document.createElementNS(NS, name);
    for (const key in attributes) found.setAttribute(key, attributes[key]);
    if (parent) parent.appendChild(found);
    return found;
  }

  function said(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size >= 1e5 || size < 1e-3 ? value.toExponential(3).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(5)));
    return text.replace(/-/g, "\u2212");
  }

  function ticks(low, high, log) {
    const found = [];
    if (log) {
      const step = Math.max(1, Math.ceil((Math.log10(high) - Math.log10(low)) / 8));
      for (let n = Math.ceil(Math.log10(low) - 1e-9); n <= Math.log10(high) + 1e-9; n += step) found.push(Math.pow(10, n));
      if (found.length > 1) return found;
      found.length = 0;
    }
    const rough = (high - low) / 6, unit = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 5, 10].map(n => n * unit).find(n => n >= rough);
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
    return found;
  }

  function chart(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    const state = { log: data.log, view: null, hidden: new Set(data.series.map((_, i) => i).filter(i => i >= data.shown)) };
    const colourOf = i => data.series[i].colour || COLOURS[i % COLOURS.length];
    const bar = document.createElement("div");
    bar.className = "bar";
    const button = document.createElement("button");
    bar.appendChild(button);
    const reset = document.createElement("button");
    reset.textContent = "show all";
    bar.appendChild(reset);
    const readout = document.createElement("span");
    readout.className = "readout";
    bar.appendChild(readout);
    box.appendChild(bar);
    const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": data.title }, box);
    const legend = document.createElement("div");
    legend.className = "legend";
    box.appendChild(legend);
    data.series.forEach((series, i) => {
      const name = document.createElement("button");
      name.textContent = series.name;
      name.style.borderColor = colourOf(i);
      name.addEventListener("click", () => {
        if (!state.hidden.delete(i)) state.hidden.add(i);
        draw();
      });
      legend.appendChild(name);
    });
    let scale = null;

    function extent() {
      let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
      data.series.forEach((series, i) => {
        if (state.hidden.has(i)) return;
        series.x.forEach((x, k) => {
          if (series.y[k] === null || (state.log && x <= 0)) return;
          x0 = Math.min(x0, x); x1 = Math.max(x1, x);
          const low = series.low ? series.low[k] : series.y[k], high = series.high ? series.high[k] : series.y[k];
          y0 = Math.min(y0, low === null ? series.y[k] : low); y1 = Math.max(y1, high === null ? series.y[k] : high);
        });
      });
      if (!(x1 > x0)) { x0 = x0 === Infinity ? 0 : x0; x1 = x0 + 1; if (state.log && x0 <= 0) { x0 = 0.1; } }
      if (!(y1 - y0 > 1e-4 * Math.max(Math.abs(y0), Math.abs(y1)))) {  // level but for rounding
        const y = y0 === Infinity ? 0 : (y0 + y1) / 2;
        y0 = y - 0.1 * Math.abs(y); y1 = y + (0.1 * Math.abs(y) || 1);
      }
      const pad = 0.04 * (y1 - y0);
      return [x0, x1, y0 - pad, y1 + pad];
    }

    function draw() {
      while (svg.firstChild) svg.removeChild(svg.firstChild);
      button.textContent = state.log ? "linear " + data.x_name : "logarithmic " + data.x_name;
      const [x0, x1, y0, y1] = state.view || extent();
      const f = state.log ? Math.log10 : (x => x), g = state.log ? (x => Math.pow(10, x)) : (x => x);
      const px = x => L + (f(x) - f(x0)) / (f(x1) - f(x0)) * (W - L - R), py = y => H - B - (y - y0) / (y1 - y0) * (H - T - B);
      scale = { x: p => g(f(x0) + (p - L) / (W - L - R) * (f(x1) - f(x0))), y: p => y0 + (H - B - p) / (H - T - B) * (y1 - y0), px, py };
      const id = "clip" + box.id;
      const clip = element("clipPath", { id }, svg);
      element("rect", { x: L, y: T, width: W - L - R, height: H - T - B }, clip);
      for (const x of ticks(x0, x1, state.log)) {
        element("line", { x1: px(x), x2: px(x), y1: T, y2: H - B, class: "grid" }, svg);
        const words = said(x), half = 4.2 * words.length;
        element("text", { x: Math.min(px(x), W - half), y: H - B + 16, "text-anchor": "middle" }, svg).textContent = words;
      }
      for (const y of ticks(y0, y1, false)) {
        element("line", { x1: L, x2: W - R, y1: py(y), y2: py(y), class: "grid" }, svg);
        element("text", { x: L - 6, y: py(y) + 4, "text-anchor": "end" }, svg).textContent = said(y);
      }
      element("text", { x: (L + W - R) / 2, y: H - 8, "text-anchor": "middle" }, svg).textContent = data.x_label;
      element("text", { x: 14, y: (H - B + T) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(H - B + T) / 2})` }, svg).textContent = data.y_label;
      const area = element("g", { "clip-path": `url(#${id})` }, svg);
      data.series.forEach((series, i) => {
        legend.children[i].classList.toggle("off", state.hidden.has(i));
        if (state.hidden.has(i)) return;
        const colour = colourOf(i);
        const there = series.x.map((x, k) => k).filter(k => series.y[k] !== null && !(state.log && series.x[k] <= 0));
        if (series.points) {
          for (const k of there) {
            const x = px(series.x[k]).toFixed(2);
            if (series.low) element("line", { x1: x, x2: x, y1: py(series.low[k]), y2: py(series.high[k]), stroke: colour }, area);
            element("circle", { cx: x, cy: py(series.y[k]).toFixed(2), r: 2.6, fill: colour, class: "point", "data-name": series.name }, area);
          }
          return;
        }
        if (series.low) {
          const up = there.map(k => `${px(series.x[k]).toFixed(2)},${py(series.high[k]).toFixed(2)}`);
          const down = there.map(k => `${px(series.x[k]).toFixed(2)},${py(series.low[k]).toFixed(2)}`).reverse();
          element("polygon", { points: up.concat(down).join(" "), fill: colour, class: "band" }, area);
        }
        const line = there.map(k => `${px(series.x[k]).toFixed(2)},${py(series.y[k]).toFixed(2)}`).join(" ");
        element("polyline", { points: line, stroke: colour, class: "curve", "data-name": series.name }, area);
      });
      element("rect", { x: L, y: T, width: W - L - R, height: H - T - B, class: "frame" }, svg);
    }

    function at(event) {
      const corner = svg.getBoundingClientRect();
      return [(event.clientX - corner.left) * W / corner.width, (event.clientY - corner.top) * H / corner.height];
    }

    function read(x) {
      const parts = [data.x_name + " " + said(x)];
      data.series.forEach((series, i) => {
        if (state.hidden.has(i) || parts.length > 6) return;
        let k = series.x.findIndex(value => value >= x);
        if (k < 1 || series.y[k] === null || series.y[k - 1] === null) return;
        const share = (x - series.x[k - 1]) / ((series.x[k] - series.x[k - 1]) || 1);
        parts.push(series.name + ": " + said(series.y[k - 1] + share * (series.y[k] - series.y[k - 1])));
      });
      readout.textContent = parts.join("   ");
    }

    let from = null, frame = null;
    svg.addEventListener("mousedown", event => {
      from = at(event);
      frame = element("rect", { class: "zoom" }, svg);
      event.preventDefault();
    });
    svg.addEventListener("mousemove", event => {
      const [x, y] = at(event);
      if (from && frame) {
        frame.setAttribute("x", Math.min(x, from[0])); frame.setAttribute("width", Math.abs(x - from[0]));
        frame.setAttribute("y", Math.min(y, from[1])); frame.setAttribute("height", Math.abs(y - from[1]));
      }
      if (x >= L && x <= W - R) read(scale.x(x));
    });
    window.addEventListener("mouseup", event => {
      if (!from) return;
      const [x, y] = at(event), start = from;
      from = null;
      if (Math.abs(x - start[0]) > 6 && Math.abs(y - start[1]) > 6) {
        const xs = [scale.x(start[0]), scale.x(x)].sort((a, b) => a - b), ys = [scale.y(start[1]), scale.y(y)].sort((a, b) => a - b);
        state.view = [xs[0], xs[1], ys[0], ys[1]];
      }
      draw();
    });
    const all = () => { state.view = null; draw(); };
    svg.addEventListener("dblclick", all);
    reset.addEventListener("click", all);
    button.addEventListener("click", () => { state.log = !state.log; all(); });
    draw();
  }

  window.drawChart = chart;
  document.querySelectorAll(".chart").forEach(chart);
})();
