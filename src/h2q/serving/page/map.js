// The collection as a map, to pan, zoom, look at and draw a lasso on.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { titleOf } from "./filters.js";
import { nameOf } from "./grid.js";
import { canvas2d, placesInside, shuffled, squares, webgl } from "./points.js";

const COLOURS = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f",
  "#3b7dd8", "#d37295", "#8cd17d", "#b6992d", "#86bcb6", "#a0cbe8", "#ffbe7d", "#f1ce63", "#d4a6c8", "#d7b5a6", "#499894"];
const LAYOUTS = { tsne: "t-SNE", pca: "PCA", opentsne: "t-SNE of all items" };
const NONE = "#8a8f98";
const LEAST = 6000; // points that any machine draws at a steady pace
const FOUND = [224, 32, 64], PLAIN = [110, 130, 160], LIT = [11, 87, 208];

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const RGB = COLOURS.map(rgb), RGB_NONE = rgb(NONE);
const colourOf = (number) => COLOURS[number % COLOURS.length];

// The coordinates, asked for again while they are being found; PCA's meanwhile.
function useCoordinates(method, stamp, onError) {
  const [state, setState] = useState({ ready: false, places: null, stamp: "", method });
  useEffect(() => {
    if (!stamp) return undefined;
    let live = true, timer;
    const take = (found, method, ready) => setState({ ready, places: new Float32Array(api.bytes(found.places).buffer), stamp: found.stamp, method });
    const load = async (first) => {
      try {
        const found = await api.map(method);
        if (!live) return;
        if (found.ready) { take(found, method, true); return; }
        if (first) {
          const flat = await api.map("pca");
          if (!live) return;
          take(flat, "pca", false);
        }
        timer = setTimeout(load, 1500);
      } catch (error) {
        if (!live) return;
        onError(error);
        if (first && method !== "pca") api.map("pca").then((flat) => live && take(flat, "pca", true), () => {});
      }
    };
    load(true);
    return () => { live = false; clearTimeout(timer); };
  }, [method, stamp]);
  return state;
}

// All that the map shows: where the items are, their colours, which are lit, and what the lasso holds.
export function useMap(state, stamp, where, found, onError) {
  const on = stamp && (state.view === "map" || state.lasso !== null) ? stamp : "";
  const coordinates = useCoordinates(state.method, on, onError);
  const [colours, setColours] = useState({ numbers: null, legend: [] });
  useEffect(() => {
    if (!on || !state.colour) { setColours({ numbers: null, legend: [] }); return undefined; }
    let live = true;
    api.colours(state.colour).then((c) => live && setColours({ numbers: new Int32Array(api.bytes(c.numbers).buffer), legend: c.values }), onError);
    return () => { live = false; };
  }, [state.colour, on]);
  const [meets, setMeets] = useState(null);
  useEffect(() => {
    setMeets(null);
    if (!where || !on) return undefined;
    let live = true;
    api.mask(where).then((found) => { if (live) setMeets(api.bytes(found.mask)); }, onError);
    return () => { live = false; };
  }, [where, on]);
  const inLasso = useMemo(() => {
    // A lasso drawn in one map means nothing in another, which may be shown meanwhile.
    if (!state.lasso || !coordinates.places || coordinates.method !== state.method || (where && !meets)) return null;
    const inside = placesInside(state.lasso, coordinates.places);
    return where ? inside.filter((place) => meets[place]) : inside;
  }, [state.lasso, state.method, coordinates, meets, where]);
  const hits = useMemo(() => {
    if (!found) return null;
    if (!inLasso) return found.items;
    const chosen = new Set(inLasso);
    return found.items.filter((item) => chosen.has(item.place));
  }, [found, inLasso]);
  const lit = useMemo(() => {
    const count = (coordinates.places?.length ?? 0) / 2;
    if (!count) return null;
    if (!hits && !inLasso) return meets;
    const mask = new Uint8Array(count);
    for (const place of hits ? hits.map((item) => item.place) : inLasso) if (place < count) mask[place] = 1;
    return mask;
  }, [hits, inLasso, meets, coordinates.places]);
  return { coordinates, ...colours, lit, inLasso, hits };
}

// The map with its choices above and its legend below; a value of the legend filters by it.
export function MapView({ map, state, go, facets, maps, total, onSearch }) {
  const { coordinates, numbers, legend } = map;
  const chosen = state.facets[state.colour] ?? [];
  const toggle = (value) => {
    const values = chosen.includes(value) ? chosen.filter((v) => v !== value) : [...chosen, value];
    const { [state.colour]: _, ...rest } = state.facets;
    go({ facets: values.length ? { ...rest, [state.colour]: values } : rest });
  };
  return html`<div class="mapbar"><label class="line">Layout <select value=${state.method} onChange=${(e) => go({ method: e.target.value, lasso: null })}>${["tsne", "pca", "opentsne"].filter((name) => maps.includes(name)).map((name) => html`<option key=${name} value=${name}>${LAYOUTS[name]}</option>`)}</select></label>
      <label class="line">Colour <select value=${state.colour} onChange=${(e) => go({ colour: e.target.value })}><option value="">none</option>${facets.map((f) => html`<option key=${f.key} value=${f.key}>${titleOf(f.key)}</option>`)}</select></label>
      ${!coordinates.ready && coordinates.places && html`<span class="quiet" role="status">PCA is shown; t-SNE is being computed and follows …</span>`}</div>
    <${CollectionMap} coordinates=${coordinates} numbers=${numbers} lit=${map.lit} found=${map.hits !== null} lasso=${coordinates.method === state.method ? state.lasso : null} total=${total}
      onLasso=${(lasso) => go({ lasso, ...(lasso ? { method: coordinates.method } : {}) })} onSearch=${onSearch} />
    ${legend.length > 0 && html`<ul class="legend" aria-label="Colours">${legend.slice(0, COLOURS.length).map((value, i) => html`<li key=${value}><button class="quiet" aria-pressed=${chosen.includes(value)} title="Show these alone" onClick=${() => toggle(value)}>
      <span class="dot" style=${{ background: colourOf(i) }}></span>${value || "(empty)"}</button></li>`)}${legend.length > COLOURS.length && html`<li class="quiet">and ${legend.length - COLOURS.length} more, in the same colours again</li>`}</ul>`}`;
}

function CollectionMap({ coordinates, numbers, lit, found, lasso, onLasso, onSearch, total }) {
  const box = useRef(null), canvas = useRef(null), over = useRef(null);
  const engine = useRef(null), find = useRef(null);
  const view = useRef({ zoom: 0.92, x: 0, y: 0 });
  const [drawing, setDrawing] = useState(false);
  const [hover, setHover] = useState(null);
  const [kind, setKind] = useState("");
  const { places } = coordinates;
  const count = places ? places.length / 2 : 0;

  // While the map moves, as many points are drawn as the machine can at a steady pace: all of them with
  // a graphics card, a fair sample without one. Those that are lit stay, unless they are many.
  const pace = useRef({ share: 1, last: 0, settle: 0 });
  const unlit = useRef(0); // so many points come before those that are lit
  const ranges = (moving, now) => {
    const steady = pace.current;
    if (moving) {
      const took = now - steady.last;
      steady.last = now;
      if (took < 1000) steady.share = Math.min(1, Math.max(Math.min(1, LEAST / count), steady.share * (took > 28 ? 0.6 : took < 20 ? 1.06 : 1)));
      clearTimeout(steady.settle);
      steady.settle = setTimeout(() => paint(), 160);
    }
    const share = moving ? steady.share : 1, low = unlit.current, lit = count - low;
    return [[0, Math.ceil(low * share)], [low, lit < LEAST ? lit : Math.ceil(lit * share)]];
  };
  const frame = (moving, now) => {
    const node = canvas.current;
    if (!node || !engine.current || !places) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(node.clientWidth * ratio), height = Math.round(node.clientHeight * ratio);
    if (node.width !== width || node.height !== height) { node.width = width; node.height = height; }
    const { zoom, x, y } = view.current;
    const least = Math.min(width, height);
    const sx = (zoom * least) / width, sy = (zoom * least) / height;
    const size = Math.max(2, Math.min(14, (count > 30000 ? 3 : count > 4000 ? 5 : 7) * Math.sqrt(zoom))) * ratio * Math.max(1, Math.min(2, least / ratio / 700)); // as large as the map
    engine.current.draw(ranges(moving, now), { sx, sy, tx: -x * sx, ty: -y * sy }, size);
    drawLasso();
  };
  const again = useRef(0), latest = useRef({});
  latest.current = { frame, drawLasso: () => drawLasso() }; // listeners that outlive a rendering paint what is shown now
  const next = (draw) => { cancelAnimationFrame(again.current); again.current = requestAnimationFrame(draw); };
  const paint = (moving = false) => next((now) => latest.current.frame(moving, now));
  const paintLasso = () => next(() => latest.current.drawLasso());
  useEffect(() => () => { cancelAnimationFrame(again.current); clearTimeout(pace.current.settle); }, []);

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
    const node = over.current, ratio = window.devicePixelRatio || 1, draw = node.getContext("2d");
    const width = Math.round(node.clientWidth * ratio), height = Math.round(node.clientHeight * ratio);
    if (node.width !== width || node.height !== height) { node.width = width; node.height = height; }
    draw.setTransform(1, 0, 0, 1, 0, 0);
    draw.clearRect(0, 0, width, height);
    const shape = path.current ?? lasso;
    if (!shape || shape.length < 2) return;
    draw.globalAlpha = 1;
    draw.scale(ratio, ratio);
    draw.beginPath();
    shape.map(toScreen).forEach(([x, y], i) => (i ? draw.lineTo(x, y) : draw.moveTo(x, y)));
    draw.closePath();
    const accent = getComputedStyle(node).getPropertyValue("--accent");
    draw.strokeStyle = accent; draw.lineWidth = 2; draw.stroke();
    draw.globalAlpha = 0.12; draw.fillStyle = accent; draw.fill();
  };

  const many = useMemo(() => (lit ? lit.reduce((sum, on) => sum + on, 0) : 0), [lit]);
  const shuffle = useMemo(() => shuffled(count), [count]);
  useEffect(() => {
    if (!places) return;
    if (!engine.current) { engine.current = webgl(canvas.current) ?? canvas2d(canvas.current); setKind(engine.current.kind); }
    find.current = squares(places, count);
  }, [places]);
  useEffect(() => {
    if (!places || !engine.current) return;
    // Those that are lit are drawn last, above the others.
    const order = new Uint32Array(count);
    let low = 0, high = count;
    for (const i of shuffle) order[lit?.[i] ? --high : low++] = i;
    unlit.current = low;
    const where = new Float32Array(2 * count), paints = new Uint8Array(4 * count);
    for (let at = 0; at < count; at++) {
      const i = order[at], on = at >= low;
      const number = numbers ? numbers[i] ?? -1 : -1;
      const tint = on && found ? FOUND : numbers ? (number < 0 ? RGB_NONE : RGB[number % RGB.length]) : on ? LIT : PLAIN;
      where[2 * at] = places[2 * i];
      where[2 * at + 1] = places[2 * i + 1];
      paints[4 * at] = tint[0]; paints[4 * at + 1] = tint[1]; paints[4 * at + 2] = tint[2];
      paints[4 * at + 3] = on ? 255 : lit ? 60 : 190;
    }
    engine.current.places(where);
    engine.current.colours(paints);
    paint();
  }, [places, numbers, lit, found]);
  useEffect(() => paint(), [lasso]);
  useEffect(() => {
    const watcher = new ResizeObserver(() => paint());
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, [places]);

  const zoomBy = (factor, mx = view.current.x, my = view.current.y) => {
    const { zoom, x, y } = view.current;
    const next = Math.min(200, Math.max(0.5, zoom * factor));
    view.current = { zoom: next, x: mx + ((x - mx) * zoom) / next, y: my + ((y - my) * zoom) / next };
    paint(true);
  };
  useEffect(() => {
    const node = canvas.current;
    const wheel = (event) => { event.preventDefault(); zoomBy(Math.exp(-event.deltaY * 0.0015), ...toMap(event)); };
    node.addEventListener("wheel", wheel, { passive: false });
    return () => node.removeEventListener("wheel", wheel);
  }, []);

  const grip = useRef(null);
  const fingers = useRef(new Map());
  const pinch = () => {
    const [[ax, ay], [bx, by]] = [...fingers.current.values()];
    return { apart: Math.hypot(ax - bx, ay - by), middle: { clientX: (ax + bx) / 2, clientY: (ay + by) / 2 } };
  };
  const down = (event) => {
    canvas.current.setPointerCapture(event.pointerId);
    fingers.current.set(event.pointerId, [event.clientX, event.clientY]);
    setHover(null);
    if (fingers.current.size === 2) { path.current = null; grip.current = { apart: pinch().apart, moved: true }; }
    else if (drawing || event.shiftKey) path.current = [toMap(event)];
    else grip.current = { start: [event.clientX, event.clientY], view: { ...view.current }, moved: false };
  };
  const moved = (event) => {
    if (fingers.current.has(event.pointerId)) fingers.current.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.current.size === 2) {
      const { apart, middle } = pinch();
      zoomBy(apart / Math.max(1, grip.current.apart), ...toMap(middle));
      grip.current.apart = apart;
    } else if (path.current) {
      path.current.push(toMap(event));
      paintLasso();
    } else if (grip.current?.start) {
      const dx = event.clientX - grip.current.start[0], dy = event.clientY - grip.current.start[1];
      if (Math.hypot(dx, dy) > 3) grip.current.moved = true;
      const least = Math.min(canvas.current.clientWidth, canvas.current.clientHeight);
      const old = grip.current.view;
      view.current = { zoom: old.zoom, x: old.x - (dx * 2) / (least * old.zoom), y: old.y + (dy * 2) / (least * old.zoom) };
      paint(true);
    } else if (!fingers.current.size) look(event);
  };
  const asked = useRef(0);
  const look = (event) => {
    if (!find.current) return;
    const least = Math.min(canvas.current.clientWidth, canvas.current.clientHeight);
    const place = find.current(...toMap(event), (16 * 2) / (least * view.current.zoom));
    canvas.current.classList.toggle("over-point", place >= 0);
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
    fingers.current.delete(event.pointerId);
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
    if (shift) { view.current.x += shift[0]; view.current.y += shift[1]; paint(true); event.preventDefault(); }
    if (event.key === "+" || event.key === "=") zoomBy(1.3);
    if (event.key === "-") zoomBy(1 / 1.3);
    if (event.key === "Escape") { path.current = null; setDrawing(false); onLasso(null); }
  };

  return html`<div class="map" ref=${box} data-count=${count} data-lit=${many}>
    <canvas class=${drawing ? "drawing" : ""} ref=${canvas} tabindex="0" role="img" data-engine=${kind}
      aria-label=${`Map of ${total.toLocaleString()} items${lit ? `, ${many.toLocaleString()} of them lit` : ""}. Arrow keys move, plus and minus zoom.`}
      onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerCancel=${(e) => { fingers.current.delete(e.pointerId); path.current = grip.current = null; paint(); }} onPointerLeave=${() => setHover(null)} onKeyDown=${keys}></canvas>
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
