// The collection as a map: points drawn by WebGL, or on a canvas where there is none.
//
// The usual libraries (regl and what builds on it) compile functions from text, which the page's
// content security policy forbids; one shader is all a map of points needs.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { nameOf } from "./grid.js";

const COLOURS = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f",
  "#3b7dd8", "#d37295", "#8cd17d", "#b6992d", "#86bcb6", "#a0cbe8", "#ffbe7d", "#f1ce63", "#d4a6c8", "#d7b5a6", "#499894"];
const PLAIN = [110, 130, 160];

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
export const colourOf = (number) => (number < 0 ? "#8a8f98" : COLOURS[number % COLOURS.length]);

const VERTEX = `attribute vec2 place; attribute vec4 colour; uniform vec2 scale, shift; uniform float size;
varying vec4 paint; void main() { gl_Position = vec4(place * scale + shift, 0.0, 1.0); gl_PointSize = size * (colour.a > 0.95 ? 1.6 : 1.0); paint = colour; }`;
const FRAGMENT = `precision mediump float; varying vec4 paint; void main() {
float d = length(gl_PointCoord - 0.5); if (d > 0.5) discard; gl_FragColor = vec4(paint.rgb * paint.a, paint.a); }`;

function webgl(canvas) {
  const gl = canvas.getContext("webgl", { antialias: true, premultipliedAlpha: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const buffers = { place: gl.createBuffer(), colour: gl.createBuffer() };
  const uniform = Object.fromEntries(["scale", "shift", "size"].map((n) => [n, gl.getUniformLocation(program, n)]));
  const feed = (name, data, width, type, normalized) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    const where = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(where);
    gl.vertexAttribPointer(where, width, type, normalized, 0, 0);
  };
  return {
    kind: "webgl",
    places: (data) => feed("place", data, 2, gl.FLOAT, false),
    colours: (data) => feed("colour", data, 4, gl.UNSIGNED_BYTE, true),
    draw(count, view, size) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(uniform.scale, view.sx, view.sy);
      gl.uniform2f(uniform.shift, view.tx, view.ty);
      gl.uniform1f(uniform.size, size);
      gl.drawArrays(gl.POINTS, 0, count);
    },
  };
}

function canvas2d(canvas) {
  const draw = canvas.getContext("2d");
  let places, colours;
  return {
    kind: "canvas",
    places: (data) => { places = data; },
    colours: (data) => { colours = data; },
    draw(count, view, size) {
      const { width, height } = canvas;
      draw.clearRect(0, 0, width, height);
      let last = "";
      for (let i = 0; i < count; i++) {
        const x = ((places[2 * i] * view.sx + view.tx + 1) / 2) * width;
        const y = ((1 - (places[2 * i + 1] * view.sy + view.ty)) / 2) * height;
        if (x < 0 || y < 0 || x > width || y > height) continue;
        const paint = `rgba(${colours[4 * i]},${colours[4 * i + 1]},${colours[4 * i + 2]},${colours[4 * i + 3] / 255})`;
        if (paint !== last) draw.fillStyle = last = paint;
        draw.fillRect(x - size / 2, y - size / 2, size, size);
      }
    },
  };
}

// Points by square, so that the one under the pointer is found at once.
function squares(places, count) {
  const side = Math.max(8, Math.min(256, Math.ceil(Math.sqrt(count / 4))));
  const cells = new Map();
  const at = (v) => Math.min(side - 1, Math.max(0, Math.floor(((v + 1) / 2) * side)));
  for (let i = 0; i < count; i++) {
    const cell = at(places[2 * i]) * side + at(places[2 * i + 1]);
    const list = cells.get(cell);
    if (list) list.push(i); else cells.set(cell, [i]);
  }
  return (x, y, reach) => {
    let best = -1, least = reach * reach;
    for (let a = at(x - reach); a <= at(x + reach); a++)
      for (let b = at(y - reach); b <= at(y + reach); b++)
        for (const i of cells.get(a * side + b) ?? []) {
          const distance = (places[2 * i] - x) ** 2 + (places[2 * i + 1] - y) ** 2;
          if (distance < least) { least = distance; best = i; }
        }
    return best;
  };
}

export function inside(polygon, x, y) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

export function placesInside(polygon, places) {
  const out = [];
  for (let i = 0; i < places.length / 2; i++) if (inside(polygon, places[2 * i], places[2 * i + 1])) out.push(i);
  return out;
}

// The coordinates, asked for again while they are being found.
export function useCoordinates(method, stamp, onError) {
  const [state, setState] = useState({ ready: false, places: null, stamp: "", method });
  useEffect(() => {
    let live = true, timer;
    const load = async () => {
      try {
        const found = await api.map(method);
        if (!live) return;
        if (found.ready) {
          const data = api.bytes(found.places);
          setState({ ready: true, places: new Float32Array(data.buffer), stamp: found.stamp, method });
        } else {
          const flat = await api.map("pca"); // something to look at meanwhile
          if (!live) return;
          setState((old) => (old.places && old.stamp === flat.stamp ? { ...old, ready: false }
            : { ready: false, places: new Float32Array(api.bytes(flat.places).buffer), stamp: flat.stamp, method: "pca" }));
          timer = setTimeout(load, 1500);
        }
      } catch (error) { if (live) onError(error); }
    };
    load();
    return () => { live = false; clearTimeout(timer); };
  }, [method, stamp]);
  return state;
}

export function CollectionMap({ coordinates, numbers, marked, lasso, onLasso, onSearch, total }) {
  const box = useRef(null), canvas = useRef(null), over = useRef(null);
  const engine = useRef(null), find = useRef(null);
  const view = useRef({ zoom: 0.92, x: 0, y: 0 });
  const [drawing, setDrawing] = useState(false);
  const [hover, setHover] = useState(null);
  const [kind, setKind] = useState("");
  const { places } = coordinates;
  const count = places ? places.length / 2 : 0;

  const frame = () => {
    const node = canvas.current;
    if (!node || !engine.current || !places) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(node.clientWidth * ratio), height = Math.round(node.clientHeight * ratio);
    if (node.width !== width || node.height !== height) { node.width = width; node.height = height; }
    const { zoom, x, y } = view.current;
    const least = Math.min(width, height);
    const sx = (zoom * least) / width, sy = (zoom * least) / height;
    const size = Math.max(2, Math.min(14, (count > 30000 ? 3 : count > 4000 ? 5 : 7) * Math.sqrt(zoom))) * ratio;
    engine.current.draw(count, { sx, sy, tx: -x * sx, ty: -y * sy }, size);
    drawLasso();
  };
  const again = useRef(0);
  const paint = () => { cancelAnimationFrame(again.current); again.current = requestAnimationFrame(frame); };

  const toMap = (event) => {
    const rect = canvas.current.getBoundingClientRect();
    const least = Math.min(rect.width, rect.height), { zoom, x, y } = view.current;
    return [((event.clientX - rect.left - rect.width / 2) * 2) / (least * zoom) + x,
            (-(event.clientY - rect.top - rect.height / 2) * 2) / (least * zoom) + y];
  };
  const toScreen = ([mx, my]) => {
    const node = canvas.current, least = Math.min(node.clientWidth, node.clientHeight), { zoom, x, y } = view.current;
    return [node.clientWidth / 2 + ((mx - x) * least * zoom) / 2, node.clientHeight / 2 - ((my - y) * least * zoom) / 2];
  };
  const path = useRef(null);
  const drawLasso = () => {
    const node = over.current, ratio = window.devicePixelRatio || 1;
    node.width = node.clientWidth * ratio; node.height = node.clientHeight * ratio;
    const shape = path.current ?? lasso;
    if (!shape || shape.length < 2) return;
    const draw = node.getContext("2d");
    draw.scale(ratio, ratio);
    draw.beginPath();
    shape.map(toScreen).forEach(([x, y], i) => (i ? draw.lineTo(x, y) : draw.moveTo(x, y)));
    draw.closePath();
    const accent = getComputedStyle(node).getPropertyValue("--accent");
    draw.strokeStyle = accent; draw.lineWidth = 2; draw.stroke();
    draw.globalAlpha = 0.12; draw.fillStyle = accent; draw.fill();
  };

  useEffect(() => {
    if (!places) return;
    if (!engine.current) { engine.current = webgl(canvas.current) ?? canvas2d(canvas.current); setKind(engine.current.kind); }
    engine.current.places(places);
    find.current = squares(places, count);
    paint();
  }, [places]);
  useEffect(() => {
    if (!places || !engine.current) return;
    const paints = new Uint8Array(4 * count);
    const some = marked && marked.size > 0;
    for (let i = 0; i < count; i++) {
      const mine = numbers ? rgb(colourOf(numbers[i] ?? -1)) : PLAIN;
      const lit = some && marked.has(i);
      paints.set(lit ? [224, 32, 64] : mine, 4 * i);
      paints[4 * i + 3] = lit ? 255 : some ? 70 : 190;
    }
    engine.current.colours(paints);
    paint();
  }, [places, numbers, marked]);
  useEffect(paint, [lasso]);
  useEffect(() => {
    const watcher = new ResizeObserver(paint);
    watcher.observe(box.current);
    return () => watcher.disconnect();
  });

  const zoomBy = (factor, mx = view.current.x, my = view.current.y) => {
    const { zoom, x, y } = view.current;
    const next = Math.min(200, Math.max(0.5, zoom * factor));
    view.current = { zoom: next, x: mx + ((x - mx) * zoom) / next, y: my + ((y - my) * zoom) / next };
    paint();
  };
  useEffect(() => {
    const node = canvas.current;
    const wheel = (event) => { event.preventDefault(); zoomBy(Math.exp(-event.deltaY * 0.0015), ...toMap(event)); };
    node.addEventListener("wheel", wheel, { passive: false });
    return () => node.removeEventListener("wheel", wheel);
  }, []);

  const grip = useRef(null);
  const down = (event) => {
    canvas.current.setPointerCapture(event.pointerId);
    if (drawing || event.shiftKey) path.current = [toMap(event)];
    else grip.current = { start: [event.clientX, event.clientY], view: { ...view.current }, moved: false };
    setHover(null);
  };
  const moved = (event) => {
    if (path.current) {
      path.current.push(toMap(event));
      paint();
    } else if (grip.current) {
      const dx = event.clientX - grip.current.start[0], dy = event.clientY - grip.current.start[1];
      if (Math.hypot(dx, dy) > 3) grip.current.moved = true;
      const least = Math.min(canvas.current.clientWidth, canvas.current.clientHeight);
      const old = grip.current.view;
      view.current = { zoom: old.zoom, x: old.x - (dx * 2) / (least * old.zoom), y: old.y + (dy * 2) / (least * old.zoom) };
      paint();
    } else look(event);
  };
  const asked = useRef(0);
  const look = (event) => {
    if (!find.current) return;
    const least = Math.min(canvas.current.clientWidth, canvas.current.clientHeight);
    const place = find.current(...toMap(event), (16 * 2) / (least * view.current.zoom));
    if (place < 0) { setHover(null); clearTimeout(asked.current); return; }
    if (hover?.place === place) return;
    const rect = box.current.getBoundingClientRect();
    const spot = [event.clientX - rect.left, event.clientY - rect.top];
    clearTimeout(asked.current);
    asked.current = setTimeout(async () => {
      try {
        const found = await api.at([place], coordinates.stamp);
        if (found.items[0]) setHover({ place, item: found.items[0], spot });
      } catch { setHover(null); }
    }, 40);
  };
  const up = (event) => {
    if (path.current) {
      const corners = path.current;
      path.current = null;
      setDrawing(false);
      const thin = corners.filter((_, i) => i % Math.max(1, Math.floor(corners.length / 60)) === 0);
      if (thin.length >= 3) onLasso(thin); else paint();
    } else if (grip.current) {
      const clicked = !grip.current.moved;
      grip.current = null;
      if (clicked && find.current) {
        const least = Math.min(canvas.current.clientWidth, canvas.current.clientHeight);
        const place = find.current(...toMap(event), (16 * 2) / (least * view.current.zoom));
        if (place >= 0) api.at([place], coordinates.stamp).then((found) => found.items[0] && onSearch(found.items[0]), () => {});
      }
    }
  };
  const keys = (event) => {
    const step = 0.15 / view.current.zoom;
    const shift = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (shift) { view.current.x += shift[0]; view.current.y += shift[1]; paint(); event.preventDefault(); }
    if (event.key === "+" || event.key === "=") zoomBy(1.3);
    if (event.key === "-") zoomBy(1 / 1.3);
    if (event.key === "Escape") { path.current = null; setDrawing(false); onLasso(null); }
  };

  return html`<div class="map" ref=${box}>
    <canvas class=${drawing ? "drawing" : ""} ref=${canvas} tabindex="0" role="img" data-engine=${kind}
      aria-label=${`Map of ${total.toLocaleString()} items. Arrow keys move, plus and minus zoom.`}
      onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerLeave=${() => setHover(null)} onKeyDown=${keys}></canvas>
    <canvas class="over" ref=${over} aria-hidden="true"></canvas>
    <div class="tools">
      <button class=${drawing ? "chosen" : ""} aria-pressed=${drawing} onClick=${() => setDrawing(!drawing)}>Lasso</button>
      ${lasso && html`<button onClick=${() => onLasso(null)}>Clear lasso</button>`}
      <button aria-label="Zoom in" onClick=${() => zoomBy(1.5)}>+</button><button aria-label="Zoom out" onClick=${() => zoomBy(1 / 1.5)}>−</button>
      <button onClick=${() => { view.current = { zoom: 0.92, x: 0, y: 0 }; paint(); }}>Whole map</button>
    </div>
    ${!places && html`<p class="waiting">Placing the items …</p>`}
    ${hover && html`<div class="card" style=${{ left: `${Math.min(hover.spot[0] + 14, box.current.clientWidth - 170)}px`, top: `${Math.max(8, Math.min(hover.spot[1] + 14, box.current.clientHeight - 200))}px` }}>
      ${hover.item.photo && html`<img src=${api.thumbnail(hover.item.key)} alt="" />`}<span>${nameOf(hover.item)}</span></div>`}
  </div>`;
}
