// What covers the page: one item large, the keys, the question for an API key.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { canCopy } from "./choosing.js";
import { Bits, nameOf } from "./grid.js";

export function KeyDialog({ onDone, wrong }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const send = async (event) => {
    event.preventDefault();
    try { await api.session(text.trim()); onDone(); } catch (e) { setError(e.message); }
  };
  return html`<main class="key"><form onSubmit=${send}>
    <h1>This collection needs a key</h1>
    <p>Whoever started the server has it. It is kept in this browser only, out of reach of scripts.</p>
    <label>API key <input type="password" autocomplete="current-password" value=${text} onInput=${(e) => setText(e.target.value)} autofocus /></label>
    <button class="main">Enter</button>
    ${(error || wrong) && html`<p class="error" role="alert">${error || wrong}</p>`}
  </form></main>`;
}

// A modal dialog that a click beside it closes; open before what is inside it is measured.
function Modal({ label, kind, onClose, onKeyDown, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => { dialog.current.showModal(); }, []);
  return html`<dialog ref=${dialog} class=${kind} aria-label=${label} onClose=${onClose} onKeyDown=${onKeyDown}
    onClick=${(e) => e.target === dialog.current && dialog.current.close()}>${children(() => dialog.current.close())}</dialog>`;
}

const HIDDEN = ["mtime_ns", "sha256"];
const size = (n) => (n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`);
const shown = (key, value) => (key === "size" && Number.isInteger(value) ? size(value)
  : key === "taken" && typeof value === "string" ? value.replace("T", " ")
  : typeof value === "string" ? value : JSON.stringify(value));

// A photo as large as there is room, or, by a click, at twice that and more; then the pointer moves it.
function Photo({ item, zoomed, onZoom }) {
  const stage = useRef(null);
  const fit = useRef(0); // its height as a whole: that of the dialog stays
  const look = (event) => {
    if (!zoomed || event.pointerType === "touch") return; // a finger scrolls
    const node = stage.current, { left, top, width, height } = node.getBoundingClientRect();
    node.scrollLeft = ((event.clientX - left) / width) * (node.scrollWidth - node.clientWidth);
    node.scrollTop = ((event.clientY - top) / height) * (node.scrollHeight - node.clientHeight);
  };
  return html`<div class=${zoomed ? "stage zoomed" : "stage"} ref=${stage} onPointerMove=${look} style=${{ height: zoomed && fit.current ? `${fit.current}px` : "" }}>
    <button class="zoom" aria-pressed=${zoomed} aria-label=${`Zoom ${item.id}`} title=${zoomed ? "Whole (z)" : "Closer (z)"} onClick=${onZoom}>
      <img src=${api.photo(item.key)} alt=${`Photo ${item.id}`} onLoad=${() => { fit.current = stage.current?.getBoundingClientRect().height ?? 0; }} /></button></div>`;
}

// `item` may come a moment later than its place, where it has to be loaded.
export function Large({ item, query, nBits, onClose, onStep, atStart, atEnd, chosen, onChoose, onSearch, onMore, onUnlike, onRemove, writable }) {
  const [zoomed, setZoomed] = useState(false);
  const [copied, setCopied] = useState(false);
  const { folder, path } = item?.payload ?? {};
  const whole = typeof folder === "string" && typeof path === "string" ? `${folder}/${path}` : String(item?.id);
  const copy = async () => {
    await navigator.clipboard.writeText(whole);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { ArrowLeft: onStep && (() => onStep(-1)), ArrowRight: onStep && (() => onStep(1)), z: item?.photo && (() => setZoomed(!zoomed)),
      x: onChoose, c: item && canCopy() && copy }[event.key];
    if (act) { event.preventDefault(); act(); }
  };
  useEffect(() => { setCopied(false); setZoomed(false); }, [item?.key]);
  const facts = Object.entries(item?.payload ?? {}).filter(([key]) => !HIDDEN.includes(key));
  const remove = (close) => {
    if (confirm(`Take ${item.id} out of the collection? The photo itself stays where it is.`)) { close(); onRemove(item); }
  };
  return html`<${Modal} kind="large" label=${item ? String(item.id) : "Loading"} onClose=${onClose} onKeyDown=${keys}>${(close) => html`<div class="inner">
      ${!item ? html`<div class="stage"><p class="nopicture">Loading …</p></div>`
        : item.photo ? html`<${Photo} key=${item.key} item=${item} zoomed=${zoomed} onZoom=${() => setZoomed(!zoomed)} />`
        : html`<div class="stage"><p class="nopicture">This item has no photo that can be shown.</p></div>`}
      <div class="facts">
        <p class="row steps">${onStep && html`<button aria-label="Previous item" title="Previous (left arrow)" disabled=${atStart} onClick=${() => onStep(-1)}>←</button><button aria-label="Next item" title="Next (right arrow)" disabled=${atEnd} onClick=${() => onStep(1)}>→</button>`}
          <button class="close" onClick=${close}>Close</button></p>
        ${item && html`<h2>${nameOf(item)}</h2>${nameOf(item) !== String(item.id) && html`<p class="quiet">${String(item.id)}</p>`}
        <${Bits} code=${item.code} query=${query} nBits=${nBits} />
        <dl>${item.distance !== undefined && html`<div><dt>distance</dt><dd>${item.distance} bit${item.distance === 1 ? "" : "s"}</dd></div>`}
          ${item.score != null && html`<div><dt>score</dt><dd>${item.score.toFixed(4)}</dd></div>`}
          ${facts.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${shown(key, value)}</dd></div>`)}</dl>
        <p class="row"><button class="main" autofocus onClick=${() => { close(); onSearch(item); }}>Find similar</button>
          ${onMore && html`<button onClick=${() => { close(); onMore(item); }}>More like this, too</button>`}
          ${onUnlike && html`<button onClick=${() => { close(); onUnlike(item); }}>Less like this</button>`}
          ${canCopy() && html`<button title="Copy (c)" onClick=${copy}>${copied ? "Copied" : whole === String(item.id) ? "Copy name" : "Copy path"}</button>`}
          ${writable && html`<button onClick=${() => remove(close)}>Remove from collection</button>`}
          ${onChoose && html`<label class="line"><input type="checkbox" checked=${chosen} onClick=${onChoose} /> Chosen</label>`}</p>`}
      </div>
    </div>`}</${Modal}>`;
}

const KEYS = [
  ["Everywhere", [["/", "write a search"], ["Ctrl V", "search with a photo from the clipboard"], ["?", "these keys"]]],
  ["Items", [["← → ↑ ↓", "go to another item"], ["Home End", "the first, the last"], ["Enter", "find what is like it"], ["Space", "look at it"], ["x", "choose it; with Shift, all up to it"], ["+ −", "larger, smaller photos"], ["Esc", "choose none"]]],
  ["One item, large", [["← →", "the one before, the next"], ["z", "closer, or whole"], ["x", "choose it"], ["c", "copy its path"], ["Enter", "find what is like it"], ["Esc", "close"]]],
  ["Map", [["← → ↑ ↓", "move"], ["+ −", "zoom"], ["Shift drag", "draw a lasso"], ["Esc", "clear the lasso"]]],
  ["Duplicates", [["j k", "the next group, the one before"], ["1 … 9", "keep that one"], ["x", "move none"], ["r", "as suggested"], ["Enter", "look; the arrows show the others"]]],
];

export function Help({ onClose }) {
  return html`<${Modal} kind="help" label="Keys" onClose=${onClose}>${(close) => html`<div class="inner">
    <p class="row"><b class="title">Keys</b><button class="close" onClick=${close}>Close</button></p>
    ${KEYS.map(([where, keys]) => html`<section key=${where}><h2>${where}</h2><dl>${keys.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl></section>`)}
  </div>`}</${Modal}>`;
}
