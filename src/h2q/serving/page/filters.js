// What narrows a search: facets with counts, and a radius over the histogram of distances.

import { html, useState } from "./vendor/htm-preact.js";

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

function Dates({ from, to, onChange }) {
  const field = (name, label, value) => html`<label class="line">${label} <input type="date" value=${value} max="9999-12-31"
    onChange=${(e) => onChange({ [name]: e.target.value })} /></label>`;
  return html`<fieldset class="facet dates"><legend>Date taken</legend>${field("from", "From", from)}${field("to", "To", to)}</fieldset>`;
}

export function Facets({ facets, filters, onChange }) {
  const chosen = filters.facets;
  const useful = facets.filter((f) => f.values.length > 1 || chosen[f.key]?.length);
  if (!useful.length) return html`<p class="quiet">The items have nothing to filter by. Payloads with a label, a date or any short value appear here.</p>`;
  return html`${useful.map((facet) => html`<${FacetBox} key=${facet.key} facet=${facet} chosen=${chosen[facet.key] ?? []}
    onChange=${(values) => {
      const next = { ...chosen };
      if (values.length) next[facet.key] = values; else delete next[facet.key];
      onChange({ facets: next });
    }} />`)}
    ${(facets.some((f) => f.key === "taken") || filters.from || filters.to) && html`<${Dates} from=${filters.from} to=${filters.to} onChange=${onChange} />`}`;
}

// Bars of how many items are at each distance; those within the radius are bright.
export function Histogram({ counts, radius, label }) {
  const tallest = Math.log1p(Math.max(0, ...(counts ?? [])));
  const bars = (from, to) => (counts ?? []).slice(from, to)
    .map((count, i) => (count ? `M${from + i} 100V${(100 - (97 * Math.log1p(count)) / tallest).toFixed(1)}h.8V100Z` : "")).join("");
  const edge = radius === null ? 0 : radius + 1;
  return html`<svg class="histogram" viewBox=${`0 0 ${Math.max(1, counts?.length ?? 1)} 100`} preserveAspectRatio="none" role="img" aria-label=${label}>
    <path class="within" d=${bars(0, edge)} /><path class="beyond" d=${bars(edge)} /></svg>`;
}

export const Axis = ({ nBits }) => html`<p class="quiet axis" aria-hidden="true"><span>0</span><span>${nBits} bits</span></p>`;

export function Radius({ nBits, counts, radius, onChange }) {
  const [moving, setMoving] = useState(null);
  const shown = moving ?? radius;
  const within = shown === null || !counts ? null : counts.slice(0, shown + 1).reduce((a, b) => a + b, 0);
  return html`<fieldset class="facet">
    <legend>Distance</legend>
    <${Histogram} counts=${counts} radius=${shown} label="Items at each distance from the query, on a logarithmic scale" />
    <${Axis} nBits=${nBits} />
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
