// What narrows a search: facets with counts, and a radius over the histogram of distances.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";

const FEW = 8;

const TITLES = { label: "Label", labels: "Label", taken: "Year taken", camera: "Camera", folder: "Folder" };
export const titleOf = (key) => TITLES[key] ?? key.charAt(0).toUpperCase() + key.slice(1);

function FacetBox({ facet, chosen, onChange }) {
  const [all, setAll] = useState(false);
  const [part, setPart] = useState("");
  const wanted = part.trim().toLowerCase();
  const matching = facet.values.filter((v) => !wanted || v.text.toLowerCase().includes(wanted));
  const shown = all || wanted ? matching.slice(0, 200) : matching.slice(0, FEW);
  for (const text of chosen) if (!shown.some((v) => v.text === text)) {
    const value = facet.values.find((v) => v.text === text);
    shown.unshift(value ?? { text, count: 0 });
  }
  const toggle = (text) =>
    onChange(chosen.includes(text) ? chosen.filter((t) => t !== text) : [...chosen, text]);
  return html`<fieldset class="facet">
    <legend>${titleOf(facet.key)}</legend>
    ${facet.values.length > FEW && html`<input type="search" class="within" placeholder=${`Find among ${facet.values.length}`}
      aria-label=${`Find a value of ${titleOf(facet.key)}`} value=${part} onInput=${(e) => setPart(e.target.value)} />`}
    ${shown.map((v) => html`<label key=${v.text} class=${v.count ? "" : "none"}>
      <input type="checkbox" checked=${chosen.includes(v.text)} onChange=${() => toggle(v.text)} />
      <span class="value" title=${v.text}>${v.text || "(empty)"}</span><span class="count">${v.count.toLocaleString()}</span></label>`)}
    ${matching.length > shown.length && html`<button class="quiet" onClick=${() => setAll(true)}>Show all ${matching.length}</button>`}
    ${all && !wanted && facet.values.length > FEW && html`<button class="quiet" onClick=${() => setAll(false)}>Show fewer</button>`}
  </fieldset>`;
}

export function Facets({ facets, chosen, onChange }) {
  const useful = facets.filter((f) => f.values.length > 1 || chosen[f.key]?.length);
  if (!useful.length) return html`<p class="quiet">The items have nothing to filter by. Payloads with a label, a date or any short value appear here.</p>`;
  return html`${useful.map((facet) => html`<${FacetBox} key=${facet.key} facet=${facet} chosen=${chosen[facet.key] ?? []}
    onChange=${(values) => {
      const next = { ...chosen };
      if (values.length) next[facet.key] = values; else delete next[facet.key];
      onChange(next);
    }} />`)}`;
}

// Bars of how many items are at each distance; those within the radius are bright.
export function Histogram({ counts, radius, label }) {
  const canvas = useRef(null);
  useEffect(() => {
    const node = canvas.current;
    if (!node || !counts?.length) return;
    const ratio = window.devicePixelRatio || 1;
    const width = (node.width = node.clientWidth * ratio);
    const height = (node.height = node.clientHeight * ratio);
    const style = getComputedStyle(node);
    const draw = node.getContext("2d");
    const tallest = Math.log1p(Math.max(...counts));
    const step = width / counts.length;
    counts.forEach((count, distance) => {
      const bar = tallest ? (Math.log1p(count) / tallest) * (height - 2) : 0;
      draw.fillStyle = style.getPropertyValue(radius !== null && distance <= radius ? "--accent" : "--unset");
      draw.fillRect(distance * step, height - bar, Math.max(1, step - (step > 3 ? 1 : 0)), bar);
    });
  }, [counts, radius]);
  return html`<canvas class="histogram" ref=${canvas} role="img" aria-label=${label}></canvas>`;
}

export function Radius({ nBits, counts, radius, onChange }) {
  const [moving, setMoving] = useState(null);
  const shown = moving ?? radius;
  const within = shown === null || !counts ? null : counts.slice(0, shown + 1).reduce((a, b) => a + b, 0);
  return html`<fieldset class="facet">
    <legend>Distance</legend>
    <${Histogram} counts=${counts} radius=${shown} label="Items at each distance from the query, on a logarithmic scale" />
    <input type="range" min="0" max=${nBits} step="1" value=${shown ?? nBits} aria-label="Radius in bits"
      aria-valuetext=${shown === null ? "no radius" : `${shown} bits`}
      onInput=${(e) => setMoving(Number(e.target.value))}
      onChange=${(e) => { setMoving(null); onChange(Number(e.target.value)); }} />
    <span class="row">${shown === null
      ? html`<span class="quiet">The nearest are shown. Move the slider for all within a radius.</span>`
      : html`<span>within <b>${shown}</b> bits${within === null ? "" : `: ${within.toLocaleString()}`}</span>
        <button class="quiet" onClick=${() => { setMoving(null); onChange(null); }}>Nearest instead</button>`}</span>
  </fieldset>`;
}
