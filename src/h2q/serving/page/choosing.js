// Items chosen one by one, and lists of items taken out of the page as CSV or JSON.

import { html, useRef, useState } from "./vendor/htm-preact.js";
import { bytes } from "./api.js";

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const hex = (code) => [...bytes(code)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// A cell of a spreadsheet. A text that a spreadsheet would take for a formula gets an apostrophe.
function cell(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

export function csv(items) {
  const keys = [...new Set(items.flatMap((item) => Object.keys(item.payload ?? {})))];
  const found = items.some((item) => item.distance !== undefined);
  const rows = items.map((item) => [item.id, ...(found ? [item.distance, item.score] : []), hex(item.code), ...keys.map((key) => item.payload?.[key])]);
  const head = ["id", ...(found ? ["distance", "score"] : []), "code", ...keys];
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

const json = (items) => JSON.stringify(items.map(({ id, distance, score, code, payload }) => ({ id, distance, score, code: hex(code), payload })), null, 1);

function save(items, kind) {
  if (kind === "csv") download("items.csv", "text/csv", csv(items));
  else download("items.json", "application/json", json(items));
}

// `all()` gives the items in batches; long lists take a while, and can be given up.
export function SaveList({ total, all, onError }) {
  const [done, setDone] = useState(null);
  const stop = useRef(false);
  const run = async (kind) => {
    stop.current = false;
    setDone(0);
    const items = [];
    try {
      for await (const batch of all()) {
        if (stop.current) break;
        items.push(...batch);
        setDone(items.length);
      }
      if (!stop.current) save(items, kind);
    } catch (error) { onError(error); }
    setDone(null);
  };
  if (done !== null) return html`<span class="row"><progress max=${total} value=${done} aria-label="Items read"></progress>
    <span class="quiet" role="status">${done.toLocaleString()} of ${total.toLocaleString()}</span><button class="quiet" onClick=${() => { stop.current = true; }}>Stop</button></span>`;
  return html`<span class="row save"><span class="quiet">Save as</span><button class="quiet" onClick=${() => run("csv")}>CSV</button><button class="quiet" onClick=${() => run("json")}>JSON</button></span>`;
}

const MOST_LIKE = 16;

// The clipboard is there on this machine and over TLS alone.
export const canCopy = () => Boolean(navigator.clipboard);

export function ChosenBar({ chosen, onSearch, onRemove, onClear, writable }) {
  const items = [...chosen.values()];
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(items.map((item) => String(item.id)).join("\n"));
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  const remove = () => { if (confirm(`Take ${items.length} items out of the collection? The photos themselves stay where they are.`)) onRemove(items); };
  return html`<section class="chosenbar" aria-label="Chosen items"><b role="status">${items.length.toLocaleString()} chosen</b>
    ${items.length <= MOST_LIKE && html`<button class="main" onClick=${() => onSearch(items)}>Find similar${items.length > 1 ? " to all" : ""}</button>`}
    ${canCopy() && html`<button onClick=${copy}>${copied ? "Copied" : "Copy names"}</button>`}
    <button onClick=${() => save(items, "csv")}>Save CSV</button><button onClick=${() => save(items, "json")}>Save JSON</button>
    ${writable && html`<button onClick=${remove}>Remove from collection</button>`}
    <button onClick=${onClear}>Clear</button></section>`;
}
