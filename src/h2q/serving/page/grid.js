// Photos in cells of one size, of which only those near the view exist: 100,000 scroll as ten do.

import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";

const GAP = 12;
const MARGIN = 2; // rows drawn beyond the view
const RUSH = 0.25; // of a screen in one frame is too fast to see a photo
const FOOT = 3.6; // rem below a photo: its code, name and distance

export function bitsOf(code, nBits) {
  const data = typeof code === "string" ? api.bytes(code) : code;
  const bits = new Uint8Array(nBits);
  for (let i = 0; i < nBits; i++) bits[i] = (data[i >> 3] >> (7 - (i & 7))) & 1;
  return bits;
}

// Bits as one path: runs of neighbours are one bar, from `top` to the bottom of a strip 10 high.
function bars(wanted, top) {
  let path = "";
  for (let i = 0; i < wanted.length; i++) if (wanted[i]) {
    const start = i;
    while (wanted[i + 1]) i++;
    path += `M${start} ${top}H${i + 1}V10H${start}Z`;
  }
  return path;
}

// A code as a strip: a dark bar for a bit that is set; those that differ from the query in red.
export function Bits({ code, query, nBits }) {
  const [set, differs] = useMemo(() => {
    const bits = bitsOf(code, nBits);
    const other = query ? bitsOf(query, nBits) : bits;
    const wrong = bits.map((bit, i) => bit ^ other[i]);
    return [bars(bits, 3), bars(wrong, 0)];
  }, [code, query, nBits]);
  return html`<svg class="bits" viewBox=${`0 0 ${nBits} 10`} preserveAspectRatio="none" aria-hidden="true">
    <path class="unset" d=${`M0 3H${nBits}V10H0Z`} /><path class="set" d=${set} /><path class="differs" d=${differs} /></svg>`;
}

export function nameOf(item) {
  const id = String(item.id);
  return id.slice(id.lastIndexOf("/") + 1) || id;
}

export function folderOf(item) {
  const id = String(item.id);
  return id.includes("/") ? id.slice(0, id.lastIndexOf("/")) : "";
}

// With `hold` a picture that is not there yet is not asked for.
export function Thumbnail({ item, hold, onGone }) {
  const [state, setState] = useState("waiting");
  const [asked, setAsked] = useState(!hold);
  useEffect(() => { if (!hold) setAsked(true); }, [hold]);
  if (!item.photo || state === "gone")
    return html`<span class="nopicture" aria-hidden="true">${item.photo ? "photo is gone" : "no photo"}</span>`;
  if (!asked) return null;
  return html`<img src=${api.thumbnail(item.key)} alt="" decoding="async" draggable="false"
    class=${state} onLoad=${() => setState("loaded")} onError=${() => { setState("gone"); onGone?.(); }} />`;
}

function Cell({ item, place, total, size, active, query, nBits, chosen, onChoose, onSearch, onOpen, onFocus, at, grab, foot, hold }) {
  const button = useRef(null);
  useEffect(() => {
    // The cell that had the focus may be gone from the view by now, and the focus with it.
    if (active && grab.current && button.current) { grab.current = false; button.current.focus({ preventScroll: true }); }
  }, [active, item === undefined]);
  const style = { width: `${size}px`, height: `${size + foot}px`, transform: `translate(${at[0]}px, ${at[1]}px)` };
  if (!item) return html`<li class="cell empty" style=${style} aria-hidden="true"><span class="frame"></span></li>`;
  const near = item.distance === undefined ? "" :
    `${item.distance} bit${item.distance === 1 ? "" : "s"}${item.score == null ? "" : ` · ${item.score.toFixed(Math.abs(item.score) < 10 ? 3 : 1)}`}`;
  const where = folderOf(item);
  return html`<li class=${chosen ? "cell chosen" : "cell"} style=${style} aria-setsize=${total} aria-posinset=${place + 1}>
    <button ref=${button} class="frame" data-place=${place} tabindex=${active ? 0 : -1} title=${String(item.id)}
      aria-label=${`Find what is like ${item.id}${near ? `, ${near} away` : ""}`}
      onClick=${() => onSearch(item)} onFocus=${() => onFocus(place)}>
      <${Thumbnail} key=${item.key} item=${item} hold=${hold} />
    </button>
    <button class="open" tabindex="-1" aria-label=${`Show ${item.id} large`} onClick=${() => onOpen(item, place)}>⤢</button>
    <input class="choose" type="checkbox" tabindex="-1" checked=${chosen} aria-label=${`Choose ${item.id}`} onClick=${(e) => onChoose(item, place, e.shiftKey)} />
    <${Bits} code=${item.code} query=${query} nBits=${nBits} />
    <span class="name" title=${String(item.id)}><span class="start">${nameOf(item)}</span></span>
    <span class="near" title=${where}>${near}${near && where && " · "}${where}</span>
  </li>`;
}

// `total` items; `get(place)` is an item or undefined; `need(from, to)` asks for a stretch of them.
export function Grid({ total, get, need, query, nBits, chosen, onChoose, onSearch, onOpen, label }) {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  const [scroll, setScroll] = useState(0);
  const [height, setHeight] = useState(600);
  const [active, setActive] = useState(0);
  const [rushing, setRushing] = useState(false); // what flies past is not asked for
  const grab = useRef(false); // whether the cell that becomes active takes the focus

  useLayoutEffect(() => {
    const node = box.current;
    const measure = () => { setWidth(node.clientWidth); setHeight(window.innerHeight); };
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(node);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    let asked = 0, calm = 0, before = window.scrollY;
    const moved = () => {
      if (asked) return;
      asked = requestAnimationFrame(() => {
        asked = 0;
        if (!box.current) return;
        if (Math.abs(window.scrollY - before) > RUSH * window.innerHeight) {
          setRushing(true);
          clearTimeout(calm);
          calm = setTimeout(() => setRushing(false), 120);
        }
        before = window.scrollY;
        setScroll(Math.max(0, -box.current.getBoundingClientRect().top));
        setHeight(window.innerHeight);
      });
    };
    moved();
    window.addEventListener("scroll", moved, { passive: true });
    window.addEventListener("resize", moved);
    return () => { clearTimeout(calm); window.removeEventListener("scroll", moved); window.removeEventListener("resize", moved); };
  }, []);
  useEffect(() => setActive(0), [total, query]);

  const least = width < 420 ? 140 : width > 2200 ? 220 : 168;
  const columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  const size = Math.max(60, Math.floor((width - GAP * (columns - 1)) / columns));
  const foot = Math.round(FOOT * parseFloat(getComputedStyle(document.documentElement).fontSize));
  const row = size + foot + GAP;
  const rows = Math.ceil(total / columns);
  const first = Math.max(0, Math.floor(scroll / row) - MARGIN) * columns;
  const last = Math.min(total, (Math.ceil((scroll + height) / row) + MARGIN) * columns);
  useEffect(() => { if (width && !rushing) need?.(first, last); }, [first, last, need, width, rushing]);

  const move = useCallback((event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -total, End: total,
      PageDown: columns * Math.max(1, Math.floor(height / row) - 1), PageUp: -columns * Math.max(1, Math.floor(height / row) - 1) }[event.key];
    const [place, item] = [Number(event.target.dataset.place), event.target.dataset.place && get(Number(event.target.dataset.place))];
    if (item && event.key === " ") { event.preventDefault(); onOpen(item, place); return; }
    if (item && event.key.toLowerCase() === "x" && !event.ctrlKey && !event.metaKey) { onChoose(item, place, event.shiftKey); return; }
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = Math.min(total - 1, Math.max(0, active + step));
    grab.current = next !== active;
    setActive(next);
    const top = box.current.getBoundingClientRect().top + window.scrollY + Math.floor(next / columns) * row;
    if (top < window.scrollY + 80 || top + row > window.scrollY + height)
      window.scrollTo({ top: Math.max(0, top - height / 2 + row / 2) });
  }, [active, columns, total, height, row, get, onOpen, onChoose]);

  const cells = useMemo(() => {
    const out = [];
    if (width) for (let place = first; place < last; place++)
      out.push([place, [(place % columns) * (size + GAP), Math.floor(place / columns) * row]]);
    return out;
  }, [first, last, columns, size, row, width]);

  const isChosen = (item) => item !== undefined && chosen.has(item.key);
  return html`<ul class="grid" ref=${box} role="list" aria-label=${label} style=${{ height: `${rows * row}px` }} onKeyDown=${move}>
    ${cells.map(([place, at]) => html`<${Cell} key=${place} place=${place} item=${get(place)} total=${total} size=${size} foot=${foot} hold=${rushing}
      at=${at} chosen=${isChosen(get(place))} onChoose=${onChoose} active=${place === active} grab=${grab} query=${query} nBits=${nBits} onSearch=${onSearch} onOpen=${onOpen} onFocus=${setActive} />`)}
  </ul>`;
}
