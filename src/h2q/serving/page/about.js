// About the collection: what it is, what its codes look like, what a search costs.

import { html, useEffect, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { Histogram } from "./filters.js";

const bytes = (n) => {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (n >= 1000 && place < units.length - 1) { n /= 1000; place++; }
  return `${place ? n.toPrecision(3) : n} ${units[place]}`;
};

function Balance({ shares }) {
  return html`<div class="balance" role="img" aria-label=${`Share of items with each of ${shares.length} bits set; one half is best`}>
    ${shares.map((share, bit) => html`<span key=${bit} title=${`bit ${bit}: ${(100 * share).toFixed(1)} %`}
      style=${{ height: `${Math.max(1, 100 * share)}%` }}></span>`)}</div>`;
}

export function About({ info, onError }) {
  const [stats, setStats] = useState(null);
  useEffect(() => { api.stats().then(setStats, onError); }, [info.count]);
  const s = stats?.statistics ?? {};
  const percent = (v) => (v == null ? "–" : `${(100 * v).toFixed(1)} %`);
  const number = (v, digits = 2) => (v == null ? "–" : v.toFixed(digits));
  const facts = [
    ["Items", info.count.toLocaleString()],
    ["Bits a code", `${info.n_bits} (${Math.ceil(info.n_bits / 8)} bytes)`],
    ["Codes in all", bytes(info.count * Math.ceil(info.n_bits / 8))],
    ["On disk", bytes(info.size_bytes)],
    ["Engine", info.engine], ["Index", info.index], ["Kept of each row", info.keep],
    ["Made by", `h2q ${info.created_by}, format ${info.format_version}`],
    ...Object.entries(info.fingerprints).map(([name, mark]) => [`Fingerprint of the ${name}`, mark.slice(0, 16)]),
  ];
  return html`<section class="about">
    <h2>${info.name}</h2>
    <dl>${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <h3>The codes</h3>
    ${!stats ? html`<p class="quiet">Counting bits …</p>` : !stats.balance.length ? html`<p class="quiet">There are too few items to say anything.</p>` : html`
    <dl>
      <div><dt>Distinct codes</dt><dd>${(s.distinct ?? 0).toLocaleString()}</dd></div>
      <div><dt>Entropy of a bit (1 is best)</dt><dd>${number(s.bit_entropy, 3)}</dd></div>
      <div><dt>Constant bits</dt><dd>${s.constant_bits}</dd></div>
      <div><dt>Mean correlation of two bits (0 is best)</dt><dd>${number(s.correlation, 3)}</dd></div>
      <div><dt>Pairs with the same code</dt><dd>${percent(s.collision_rate)}</dd></div>
      <div><dt>One search by code</dt><dd>${number(stats.search_milliseconds)} ms</dd></div>
    </dl>
    <h4>Balance of each bit</h4><${Balance} shares=${stats.balance} />
    <h4>Distances of pairs, drawn at random</h4>
    <${Histogram} counts=${stats.histogram} radius=${null} label="Pairs at each distance, on a logarithmic scale" />
    <p class="quiet axis"><span>0 bits</span><span>${info.n_bits} bits</span></p>`}
    <h3>Ranks</h3>
    <dl>${info.ranks.map((rank) => html`<div key=${rank.name}><dt>${rank.name}</dt><dd>${rank.text}</dd></div>`)}</dl>
    <p class="quiet">For programs: <a href="/openapi.json">the description of the API</a>, <a href="/metrics">metrics</a>.</p>
  </section>`;
}
