// How a query comes in: typed, picked, pasted or dropped; and how it is shown.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";

export function Ask({ info, onPhoto, onText, busy }) {
  const [text, setText] = useState("");
  const picker = useRef(null);
  const send = (event) => {
    event.preventDefault();
    const value = text.trim();
    if (!value) return;
    setText("");
    onText(value);
  };
  const narrow = window.innerWidth <= 500;
  const hint = info.texts ? "Type words, paste or drop a photo" : info.photos ? "Paste or drop a photo, or type a name or a label" : "Type a name or a label";
  return html`<form class="ask" onSubmit=${send} role="search">
    <input type="search" value=${text} onInput=${(e) => setText(e.target.value)} aria-label="Search" placeholder=${narrow ? (info.texts ? "Type words" : "A name, a label") : hint} title=${hint} />
    ${info.photos && html`<button type="button" class="main" disabled=${busy} onClick=${() => picker.current.click()}>${busy ? "Reading …" : html`<span><span class="wide">Choose </span>photo</span>`}</button>
      <input type="file" accept="image/*" ref=${picker} hidden aria-label="Photo to search with" onChange=${(e) => { if (e.target.files[0]) onPhoto(e.target.files[0]); e.target.value = ""; }} />`}
  </form>`;
}

function Chip({ kind, value, unlike, onRemove }) {
  const name = kind === "key" ? value.slice(2) : kind === "photo" ? "your photo" : kind === "text" ? `“${value}”` : `code ${value.slice(0, 12)}`;
  const picture = kind === "photo" ? api.asked(value) : kind === "key" ? api.thumbnail(value) : null;
  const [gone, setGone] = useState(false);
  return html`<li class=${unlike ? "chip unlike" : "chip"} title=${name}>
    ${picture && !gone && html`<img src=${picture} alt="" onError=${() => setGone(true)} />`}
    <span class="value">${unlike ? "not like " : ""}${name.slice(name.lastIndexOf("/") + 1)}</span>
    <button aria-label=${`Remove ${name} from the query`} onClick=${onRemove}>×</button></li>`;
}

export function Chips({ like, unlike, onChange }) {
  const without = (list, place) => list.filter((_, i) => i !== place);
  return html`<div class="query"><span class="quiet">Like</span><ul class="chips" aria-label="The query">
    ${like.map(([kind, value], i) => html`<${Chip} key=${kind + value} kind=${kind} value=${value}
      onRemove=${() => onChange({ like: without(like, i), ...(like.length === 1 ? { unlike: [], radius: null } : {}) })} />`)}
    ${unlike.map(([kind, value], i) => html`<${Chip} key=${`un${value}`} unlike kind=${kind} value=${value} onRemove=${() => onChange({ unlike: without(unlike, i) })} />`)}</ul></div>`;
}

// Photos pasted or dropped anywhere on the page; true while something is held over it.
export function useDropped(info, onPhoto, onError) {
  const [dropping, setDropping] = useState(false);
  useEffect(() => {
    if (!info) return undefined;
    const pasted = (event) => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (file && info.photos) { event.preventDefault(); onPhoto(file); }
    };
    const over = (event) => { if ([...event.dataTransfer.types].some((t) => t === "Files" || t === "text/plain")) { event.preventDefault(); setDropping(true); } };
    const leave = (event) => { if (!event.relatedTarget) setDropping(false); };
    const drop = (event) => {
      event.preventDefault();
      setDropping(false);
      const file = event.dataTransfer.files[0];
      if (!file) return;
      if (info.photos) onPhoto(file); else onError("This collection keeps no encoder, so it cannot be searched with a photo. Choose an item instead.");
    };
    const list = [["paste", pasted], ["dragover", over], ["dragleave", leave], ["drop", drop]];
    list.forEach(([name, f]) => document.addEventListener(name, f));
    return () => list.forEach(([name, f]) => document.removeEventListener(name, f));
  }, [info, onPhoto]);
  return dropping;
}
