// Photos in cells of one size, of which only those near the view exist: 100,000 scroll as ten do.

import { Component, html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";

const GAP = 12;
const MARGIN = 2; // rows drawn beyond the view
const RUSH = 0.25; // of a screen in one frame is too fast to see a photo,
const LABOUR = 0.08; // and so much where frames take long: what is drawn then holds up what follows
const LONG = 50; // ms
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

function Cell({ item, place, total, left, size, active, query, nBits, chosen, act, grab, foot, hold }) {
  const button = useRef(null);
  useEffect(() => {
    // The cell that had the focus may be gone from the view by now, and the focus with it.
    if (active && grab.current && button.current) { grab.current = false; button.current.focus({ preventScroll: true }); }
  }, [active, item === undefined]);
  const style = { width: `${size}px`, height: `${size + foot}px`, left: `${left}px` };
  if (!item) return html`<div class="cell empty" style=${style} aria-hidden="true"><span class="frame"></span></div>`;
  const near = item.distance === undefined ? "" :
    `${item.distance} bit${item.distance === 1 ? "" : "s"}${item.score == null ? "" : ` · ${item.score.toFixed(Math.abs(item.score) < 10 ? 3 : 1)}`}`;
  const where = folderOf(item);
  return html`<div role="listitem" class=${chosen ? "cell chosen" : "cell"} style=${style} aria-setsize=${total} aria-posinset=${place + 1}>
    <button ref=${button} class="frame" data-place=${place} tabindex=${active ? 0 : -1} title=${String(item.id)}
      aria-label=${`Find what is like ${item.id}${near ? `, ${near} away` : ""}`}
      onClick=${() => act.current.onSearch(item)} onFocus=${() => act.current.setActive(place)}>
      <${Thumbnail} key=${item.key} item=${item} hold=${hold} />
    </button>
    <button class="open" tabindex="-1" aria-label=${`Show ${item.id} large`} onClick=${() => act.current.onOpen(item, place)}>⤢</button>
    <input class="choose" type="checkbox" tabindex="-1" checked=${chosen} aria-label=${`Choose ${item.id}`} onClick=${(e) => act.current.onChoose(item, place, e.shiftKey)} />
    <${Bits} code=${item.code} query=${query} nBits=${nBits} />
    <span class="name" title=${String(item.id)}><span class="start">${nameOf(item)}</span></span>
    <span class="near" title=${where}>${near}${near && where && " · "}${where}</span>
  </div>`;
}

// A row of cells; looked at again where something of it is another than before. Rows come and go one by one at
// the ends of the list: of many cells that come and go at once, Preact would take all others out and in again.
class Line extends Component {
  shouldComponentUpdate(next) {
    const { items, flags, ...rest } = next;
    return Object.keys(rest).some((name) => rest[name] !== this.props[name]) || items.length !== this.props.items.length
      || items.some((item, i) => item !== this.props.items[i] || flags[i] !== this.props.flags[i]);
  }

  render({ items, flags, first, top, ...rest }) {
    return html`<div class="cells" role="presentation" style=${{ transform: `translateY(${top}px)` }}>${items.map((item, i) =>
      html`<${Cell} key=${first + i} ...${rest} item=${item} place=${first + i} left=${i * (rest.size + GAP)} chosen=${flags[i]} active=${rest.active === first + i} />`)}</div>`;
  }
}

// `total` items; `get(place)` is an item or undefined; `need(from, to)` asks for a stretch of them.
export function Grid({ total, get, need, query, nBits, chosen, onChoose, onSearch, onOpen, onSize, scale, label }) {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  const [above, setAbove] = useState(0); // rows that are scrolled away, whole
  const [height, setHeight] = useState(600);
  const [active, setActive] = useState(0);
  const [rushing, setRushing] = useState(false); // what flies past is not asked for
  const grab = useRef(false); // whether the cell that becomes active takes the focus
  const act = useRef({});
  const top = useRef(0); // the first place in view
  act.current = { onChoose, onSearch, onOpen, setActive };

  useLayoutEffect(() => {
    const node = box.current;
    const measure = () => { setWidth(node.clientWidth); setHeight(window.innerHeight); };
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(node);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => setActive(0), [total, query]);

  const least = scale * (width < 420 ? 140 : width > 2200 ? 220 : 168);
  const columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  const size = Math.max(60, Math.floor((width - GAP * (columns - 1)) / columns));
  const foot = useMemo(() => Math.round(FOOT * parseFloat(getComputedStyle(document.documentElement).fontSize)), [width]);
  const row = size + foot + GAP;
  const rows = Math.ceil(total / columns);
  const begin = Math.max(0, above - MARGIN);
  const end = Math.min(rows, above + 1 + Math.ceil(height / row) + MARGIN);
  const [first, last] = [begin * columns, Math.min(total, end * columns)];
  useLayoutEffect(() => { // larger or smaller, it is still the one in view
    if (!top.current) return;
    const start = box.current.getBoundingClientRect().top + window.scrollY;
    window.scrollTo({ top: start + Math.floor(top.current / columns) * row });
  }, [columns, row]);
  useEffect(() => {
    let asked = 0, calm = 0, before = window.scrollY, last = 0, fast = false;
    const moved = () => {
      if (asked) return;
      asked = requestAnimationFrame((now) => {
        asked = 0;
        if (!box.current) return;
        const long = fast || (now - last > LONG && now - last < 10 * LONG);
        if (Math.abs(window.scrollY - before) > (long ? LABOUR : RUSH) * window.innerHeight) {
          fast = true;
          setRushing(true);
          clearTimeout(calm);
          calm = setTimeout(() => { fast = false; setRushing(false); }, 120);
        }
        before = window.scrollY;
        last = now;
        const over = Math.floor(Math.max(0, -box.current.getBoundingClientRect().top) / row);
        setAbove(over);
        top.current = over * columns;
        setHeight(window.innerHeight);
      });
    };
    moved();
    window.addEventListener("scroll", moved, { passive: true });
    window.addEventListener("resize", moved);
    return () => { cancelAnimationFrame(asked); clearTimeout(calm); setRushing(false); window.removeEventListener("scroll", moved); window.removeEventListener("resize", moved); };
  }, [row, columns]);
  useEffect(() => { if (width && !rushing) need?.(first, last); }, [first, last, need, width, rushing]);

  const move = useCallback((event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -total, End: total,
      PageDown: columns * Math.max(1, Math.floor(height / row) - 1), PageUp: -columns * Math.max(1, Math.floor(height / row) - 1) }[event.key];
    const [place, item] = [Number(event.target.dataset.place), event.target.dataset.place && get(Number(event.target.dataset.place))];
    if (item && event.key === " ") { event.preventDefault(); onOpen(item, place); return; }
    if (item && event.key.toLowerCase() === "x" && !event.ctrlKey && !event.metaKey) { onChoose(item, place, event.shiftKey); return; }
    if (["+", "=", "-"].includes(event.key) && !event.ctrlKey && !event.metaKey) { event.preventDefault(); onSize(event.key === "-" ? -1 : 1); return; }
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = Math.min(total - 1, Math.max(0, active + step));
    grab.current = next !== active;
    setActive(next);
    const top = box.current.getBoundingClientRect().top + window.scrollY + Math.floor(next / columns) * row;
    if (top < window.scrollY + 80 || top + row > window.scrollY + height)
      window.scrollTo({ top: Math.max(0, top - height / 2 + row / 2) });
  }, [active, columns, total, height, row, get, onOpen, onChoose, onSize]);

  const lines = [];
  if (width) for (let line = begin; line < end; line++) {
    const from = line * columns;
    const items = Array.from({ length: Math.min(columns, total - from) }, (_, i) => get(from + i));
    lines.push(html`<${Line} key=${line} first=${from} top=${line * row} items=${items} flags=${items.map((item) => item !== undefined && chosen.has(item.key))}
      total=${total} size=${size} foot=${foot} hold=${rushing} active=${active >= from && active < from + columns ? active : -1}
      act=${act} grab=${grab} query=${query} nBits=${nBits} />`);
  }
  return html`<div class="grid" ref=${box} role="list" aria-label=${label} style=${{ height: `${rows * row}px` }} onKeyDown=${move}>${lines}</div>`;
}
